//! What programs read: these names, in this order, with every digit. Others rely on it.

use crate::shop::{Shop, lines};

const SCHEMA: &str =
    "CREATE TABLE item (id int PRIMARY KEY, name text, price numeric, \"Tags\" text[])";

async fn shop() -> Shop {
    let shop = Shop::new(SCHEMA).await;
    shop.with_context(
        r#"{"user_id": 7, "request_id": "r-1", "endpoint": "POST /items"}"#,
        "INSERT INTO item VALUES (1, 'a, \"b\"', 0.10000000000000000000001, '{x,NULL}')",
    )
    .await;
    shop.with_context(
        r#"{"user_id": 8, "request_id": "r-2"}"#,
        "UPDATE item SET id = 2, price = 12345678901234567890.5",
    )
    .await;
    shop
}

#[tokio::test]
async fn a_change_as_json_is_a_row_of_the_table_changes() {
    let shop = shop().await;
    let told = shop.says(&["changes", "--order", "oldest", "--format", "json"]).await;
    assert_eq!(
        shop.stable(&told),
        concat!(
            r#"{"id":"ID","primary_key":"1","previous_key":null,"before":{},"#,
            r#""after":{"Tags":["x", null],"id":1,"name":"a, \"b\"","price":0.10000000000000000000001},"#,
            r#""context":{"endpoint":"POST /items","request_id":"r-1","user_id":7},"#,
            r#""database":"DATABASE","schema":"public","table":"item","operation":"CREATE","#,
            r#""committed_at":"INSTANT","queued_at":"INSTANT","created_at":"INSTANT","#,
            r#""transaction_id":N,"position":N,"commit_position":N,"sequence":1,"#,
            r#""before_complete":true,"unavailable":null,"encoded":null}"#,
            "\n",
            r#"{"id":"ID","primary_key":"2","previous_key":"1","#,
            r#""before":{"Tags":["x", null],"id":1,"name":"a, \"b\"","price":0.10000000000000000000001},"#,
            r#""after":{"Tags":["x", null],"id":2,"name":"a, \"b\"","price":12345678901234567890.5},"#,
            r#""context":{"request_id":"r-2","user_id":8},"#,
            r#""database":"DATABASE","schema":"public","table":"item","operation":"UPDATE","#,
            r#""committed_at":"INSTANT","queued_at":"INSTANT","created_at":"INSTANT","#,
            r#""transaction_id":N,"position":N,"commit_position":N,"sequence":1,"#,
            r#""before_complete":true,"unavailable":null,"encoded":null}"#,
            "\n",
        )
    );
    // The other commands that tell changes tell them so, too.
    let id = lines(&told)[0]["id"].as_str().unwrap().to_owned();
    let first = told.split_inclusive('\n').next().unwrap();
    assert_eq!(shop.says(&["show", &id, "--format", "json"]).await, first);
    assert_eq!(
        shop.says(&["history", "item", "1", "--order", "oldest", "--format", "json"]).await,
        told
    );
}

#[tokio::test]
async fn a_change_as_csv_has_the_columns_of_the_table_changes() {
    let shop = shop().await;
    let told = shop.says(&["history", "item", "--order", "oldest", "--format", "csv"]).await;
    let row = r#"{""Tags"":[""x"", null],""id"":1,""name"":""a, \""b\"""",""price"":0.10000000000000000000001}"#;
    let expected = [
        "id,primary_key,before,after,context,database,schema,table,previous_key,operation,committed_at,\
         queued_at,created_at,transaction_id,position,commit_position,sequence,before_complete,unavailable,encoded",
        &format!(
            "ID,1,{{}},\"{row}\",\"{{\"\"endpoint\"\":\"\"POST /items\"\",\"\"request_id\"\":\"\"r-1\"\",\"\"user_id\"\":7}}\",\
             DATABASE,public,item,,CREATE,INSTANT,INSTANT,INSTANT,N,N,N,1,true,,"
        ),
        &format!(
            "ID,2,\"{row}\",\"{}\",\"{{\"\"request_id\"\":\"\"r-2\"\",\"\"user_id\"\":8}}\",\
             DATABASE,public,item,1,UPDATE,INSTANT,INSTANT,INSTANT,N,N,N,1,true,,",
            row.replace("\"\"id\"\":1", "\"\"id\"\":2")
                .replace("0.10000000000000000000001", "12345678901234567890.5")
        ),
    ];
    let told = shop.stable(&told);
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn one_change_in_full_has_all_that_the_record_has_of_it() {
    let shop = shop().await;
    let update = &shop.json(&["history", "item", "2"]).await[0];
    let told = shop.says(&["show", update["id"].as_str().unwrap()]).await;
    assert_eq!(
        shop.stable(&told),
        "INSTANT  UPDATE item 2, which was 1
  change       ID
  transaction  N, change 1 of it
  database     DATABASE
  committed    INSTANT at LSN
  received     INSTANT
  stored       INSTANT
  cursor       CURSOR
  just before  @before:change:ID
context
  request_id: \"r-2\"
  user_id: 8
fields
  id: 1 → 2
  price: 0.10000000000000000000001 → 12345678901234567890.5
unchanged
  Tags: [\"x\", null]
  name: \"a, \\\"b\\\"\"
"
    );
}
