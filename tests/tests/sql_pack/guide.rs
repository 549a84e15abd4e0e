//! Every query of the guide runs, as it stands there.

use super::packed::Packed;

const GUIDE: &str = include_str!("../../../docs/guide/sql-pack.md");

#[tokio::test]
async fn every_query_of_the_guide_runs() {
    let packed = Packed::new("").await;
    let role = packed.tracked.database.unique_name("auditor");
    let blocks: Vec<String> = GUIDE
        .split("\n```sql\n")
        .skip(1)
        .map(|block| block.split("\n```").next().unwrap().replace("auditor", &role))
        .collect();
    assert!(blocks.len() >= 9, "{blocks:?}");
    packed.sql(&blocks[0]).await;
    packed.setup(&[]).await;
    packed
        .sql(
            "INSERT INTO customer VALUES (1, 'Ada'); INSERT INTO todo VALUES (26, 1, 'Eat', false);
             UPDATE todo SET done = true",
        )
        .await;
    packed.store().await;
    let _worker = packed.tracked.run().await;
    for block in &blocks[1..] {
        packed
            .client()
            .batch_execute(block)
            .await
            .unwrap_or_else(|error| panic!("{block}\n{error:?}"));
    }
    packed.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
