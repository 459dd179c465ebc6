//! Scratch server.
#![allow(clippy::all)]
use std::sync::Arc;
use database::{Config, Database};
use dataflow::{Clock, SystemClock, connector::Connectors};
#[tokio::main]
async fn main() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let connectors = Connectors::new(vec![Arc::new(kafka::KafkaConnector::new(Arc::clone(&clock)))]);
    let db = Database::start(Config { clock, connectors, version: "0.1.0" }).unwrap();
    let s = pg::PgServer::start(pg::PgConfig { listen: ([127,0,0,1], 5999).into(), ..Default::default() }, Arc::new(db)).await.unwrap();
    println!("{}", s.address());
    tokio::time::sleep(std::time::Duration::from_secs(1200)).await;
}
