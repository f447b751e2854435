//! The life of an account, under a clock that tests set (`billing.md` rules 3, 4, 7, 8, 9, 14, 16).

use crate::harness::{CHROMIUM, Edge, Origin, Reply, Setup, api::number, pictures, pictures::Scan, until};

#[tokio::test]
async fn from_the_first_credit_to_the_second_month() {
    let origin = Origin::start().await;
    for number in 0..60 {
        let picture = pictures::jpeg(64 + number, 48, number, Scan::Baseline);
        origin.set(&format!("/{number}.jpg"), Reply::jpeg(picture).max_age(4_000_000));
    }
    let edge = Edge::start(Setup::paid_at_standing_time(&origin, "variants")).await;
    let view = async |number: u32| edge.get(&format!("/{number}.jpg")).accept(CHROMIUM).await.detail();

    // The free plan's hundred credits: fifty pictures as AVIF.
    let began: jiff::Timestamp = edge.read("/test-clock").await["now"].as_str().unwrap().parse().unwrap();
    let account = edge.read("/accounts/acme").await;
    assert_eq!((&account["plan"], &account["balance"]["total"]), (&"free".into(), &"100".into()));
    for number in 0..50 {
        assert_eq!(view(number).await, "avif");
    }
    edge.until_entitlement("shop", "essential").await;
    until("the edge knows", async || view(50).await == "essential").await;
    assert_eq!(edge.credits("acme").await, 0.0);

    // A pack: optimizing again, and how soon is tested where only that is.
    edge.grant("acme", "60").await;
    until("it optimizes again", async || view(50).await == "avif").await;
    assert_eq!(edge.credits("acme").await, 58.0);

    // Thirty days on, less a second: all is paid for. A second later the first view opens the next window. The month may
    // have ended by then, so new monthly credits may be there: they are used first.
    let at = |seconds: i64| (began + jiff::SignedDuration::from_secs(seconds)).to_string();
    let window = 30 * 24 * 3_600;
    edge.set_clock(&at(window - 1)).await;
    let before = edge.credits("acme").await;
    assert_eq!(view(0).await, "avif");
    assert_eq!(edge.credits("acme").await, before);
    edge.set_clock(&at(window)).await;
    let before = edge.read("/accounts/acme").await;
    assert_eq!(view(0).await, "avif");
    assert_eq!(view(0).await, "avif");
    assert_eq!(edge.credits("acme").await, number(&before["balance"]["total"]) - 2.0);

    // The month's end: what is unused of the monthly credits goes, the one-time credits stay.
    let end: jiff::Timestamp = before["period"]["end"].as_str().unwrap().parse().unwrap();
    edge.set_clock(&end.to_string()).await;
    let next = edge.read("/accounts/acme").await;
    assert_eq!(next["period"]["start"], before["period"]["end"]);
    assert_eq!(next["balance"]["monthly"], "100");
    let one_time = number(&next["balance"]["one_time"]);
    assert!(one_time > 0.0 && one_time <= 58.0, "{next}");

    // Monthly before one-time.
    assert_eq!(view(55).await, "avif");
    let used = edge.read("/accounts/acme").await;
    assert_eq!((number(&used["balance"]["monthly"]), number(&used["balance"]["one_time"])), (98.0, one_time));
    let later: jiff::Timestamp = next["period"]["end"].as_str().unwrap().parse().unwrap();
    edge.set_clock(&later.to_string()).await;
    let after = edge.read("/accounts/acme").await;
    assert_eq!((number(&after["balance"]["monthly"]), number(&after["balance"]["one_time"])), (100.0, one_time));
    let expired = edge.read("/transfers?account=acme&reason=expiry").await;
    assert_eq!(expired["items"][0]["amount"], "98");
}
