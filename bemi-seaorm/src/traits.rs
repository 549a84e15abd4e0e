//! sea-orm's traits, so that entities, active models, loaders, paginators and generic code run on ours as on sea-orm's own.
//!
//! What needs no message goes straight to sea-orm, or, in a transaction, to the connection that the transaction has.

use std::fmt;
use std::pin::Pin;

use bemi_core::adapter::{Plan, Protocol};
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult,
    Statement, StreamTrait, TransactionError, TransactionOptions, TransactionSession,
    TransactionTrait,
};

use crate::answer::Keep;
use crate::call::{Call, protocol};
use crate::{BemiDatabaseConnection, BemiDatabaseTransaction, BemiQueryStream};

#[async_trait]
impl ConnectionTrait for BemiDatabaseConnection {
    fn get_database_backend(&self) -> DbBackend {
        self.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match self.plan(&statement.sql, protocol(&statement)) {
            Ok(Plan::AsIs) => self.untracked().execute_raw(statement).await,
            plan => {
                let call = Call::Statement(statement);
                self.carry_out(plan, call, Keep::NoRows).await?.into_result()
            }
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match self.plan(sql, Protocol::Simple) {
            Ok(Plan::AsIs) => self.untracked().execute_unprepared(sql).await,
            plan => {
                let call = Call::Text(sql.to_owned());
                self.carry_out(plan, call, Keep::NoRows).await?.into_result()
            }
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self.plan(&statement.sql, protocol(&statement)) {
            Ok(Plan::AsIs) => self.untracked().query_one_raw(statement).await,
            plan => {
                let call = Call::Statement(statement);
                Ok(self.carry_out(plan, call, Keep::FirstRow).await?.into_rows()?.next())
            }
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self.plan(&statement.sql, protocol(&statement)) {
            Ok(Plan::AsIs) => self.untracked().query_all_raw(statement).await,
            plan => {
                let call = Call::Statement(statement);
                Ok(self.carry_out(plan, call, Keep::AllRows).await?.into_rows()?.collect())
            }
        }
    }
}

#[async_trait]
impl ConnectionTrait for BemiDatabaseTransaction {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run(Call::Statement(statement), Keep::NoRows).await?.into_result()
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.run(Call::Text(sql.to_owned()), Keep::NoRows).await?.into_result()
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let answer = self.run(Call::Statement(statement), Keep::FirstRow).await?;
        Ok(answer.into_rows()?.next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let answer = self.run(Call::Statement(statement), Keep::AllRows).await?;
        Ok(answer.into_rows()?.collect())
    }
}

/// What a stream of rows is had by.
type Streaming<'a, S> = Pin<Box<dyn Future<Output = Result<S, DbErr>> + Send + 'a>>;

impl StreamTrait for BemiDatabaseConnection {
    type Stream<'a> = BemiQueryStream<'a>;

    fn get_database_backend(&self) -> DbBackend {
        self.get_database_backend()
    }

    fn stream_raw<'a>(&'a self, statement: Statement) -> Streaming<'a, BemiQueryStream<'a>> {
        Box::pin(async move {
            match self.plan(&statement.sql, protocol(&statement)) {
                Ok(Plan::AsIs) => self.untracked().stream_raw(statement).await.map(Into::into),
                plan => {
                    let call = Call::Statement(statement);
                    BemiQueryStream::of(self.carry_out(plan, call, Keep::AllRows).await?)
                }
            }
        })
    }
}

impl StreamTrait for BemiDatabaseTransaction {
    type Stream<'a> = BemiQueryStream<'a>;

    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    fn stream_raw<'a>(&'a self, statement: Statement) -> Streaming<'a, BemiQueryStream<'a>> {
        Box::pin(self.stream(Call::Statement(statement)))
    }
}

#[async_trait]
impl TransactionTrait for BemiDatabaseConnection {
    type Transaction = BemiDatabaseTransaction;

    async fn begin(&self) -> Result<BemiDatabaseTransaction, DbErr> {
        self.begin_transaction(None, None).await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<BemiDatabaseTransaction, DbErr> {
        self.begin_transaction(isolation_level, access_mode).await
    }

    async fn begin_with_options(
        &self,
        options: TransactionOptions,
    ) -> Result<BemiDatabaseTransaction, DbErr> {
        self.begin_transaction(options.isolation_level, options.access_mode).await
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c BemiDatabaseTransaction) -> Callback<'c, T, E> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        self.transaction_with_config(callback, None, None).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c BemiDatabaseTransaction) -> Callback<'c, T, E> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let tx = self.begin_transaction(isolation_level, access_mode).await?;
        let outcome = callback(&tx).await;
        tx.end(outcome).await
    }
}

#[async_trait]
impl TransactionTrait for BemiDatabaseTransaction {
    type Transaction = Self;

    async fn begin(&self) -> Result<Self, DbErr> {
        self.begin_inside(None, None).await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Self, DbErr> {
        self.begin_inside(isolation_level, access_mode).await
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<Self, DbErr> {
        self.begin_inside(options.isolation_level, options.access_mode).await
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self) -> Callback<'c, T, E> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        self.transaction_with_config(callback, None, None).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self) -> Callback<'c, T, E> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let tx = self.begin_inside(isolation_level, access_mode).await?;
        let outcome = callback(&tx).await;
        tx.end(outcome).await
    }
}

/// What a closure that runs in a transaction gives.
type Callback<'c, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>;

#[async_trait]
impl TransactionSession for BemiDatabaseTransaction {
    async fn commit(self) -> Result<(), DbErr> {
        self.commit().await
    }

    async fn rollback(self) -> Result<(), DbErr> {
        self.rollback().await
    }
}
