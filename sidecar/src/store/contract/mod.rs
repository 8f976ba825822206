//! What every store must do, as tests. Each test is run on each implementation, on a place of its own.

mod appending;
mod listing;
mod place;
mod random;
mod reading;
#[path = "../../../tests/support/postgres.rs"]
pub(super) mod server;

pub(super) use place::{
    Database, Folder, Place, Shown, arrival, batch, block, event, ids, is_new, json_of, of, shown, signature,
    version,
};

/// Makes a test of each function for each store.
macro_rules! on_every_store {
    ($($test:path as $name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                $test(crate::store::contract::place::Folder::new()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(place) = crate::store::contract::place::Database::new().await {
                    $test(place).await;
                }
            })*
        }
        mod on_the_model {
            $(#[tokio::test]
            async fn $name() {
                $test(crate::store::model::Disk::new()).await;
            })*
        }
    };
}
pub(super) use on_every_store;
