use super::*;
use crate::model::input::Link;
use crate::source::file::Recording;
use tokio::time::Instant;

fn line(second: i64) -> String {
    format!("{{\"flow\":{{\"time\":\"x\"}},\"node_name\":\"n\",\"time\":\"{}\"}}\n", Nanos(second * Nanos::SECOND))
}

fn replay(text: String, speed: f64) -> (Replay, Remote) {
    let recording = Recording::reader("t", Box::new(std::io::Cursor::new(text.into_bytes())), false).unwrap();
    Replay::new(Tape::of(vec![recording]), speed)
}

async fn drain(inbox: &mut crate::source::Inbox) -> (usize, Vec<i64>, bool) {
    let (mut frames, mut clocks, mut ended) = (0, Vec::new(), false);
    while let Some(batch) = inbox.recv().await {
        for input in batch {
            match input {
                Input::Frame(_) => frames += 1,
                Input::Link(Link::Clock { at }) => clocks.push(at.0 / Nanos::SECOND),
                Input::End(_, r) => ended = r.is_ok(),
                _ => {}
            }
        }
    }
    (frames, clocks, ended)
}

#[tokio::test]
async fn full_speed_does_not_wait() {
    let (player, _remote) = replay((0..1000).map(|n| line(n * 5)).collect(), f64::INFINITY);
    let (feed, mut inbox) = crate::source::channel(64);
    let began = Instant::now();
    let task = tokio::spawn(Box::new(player).run(feed, Stop::new()));
    let (frames, clocks, ended) = drain(&mut inbox).await;
    assert_eq!((frames, clocks.last(), ended), (1000, Some(&4995), true));
    assert!(began.elapsed() < Duration::from_secs(5));
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn gaps_are_played_scaled_and_long_silence_shortened() {
    // 4 s, then a night (played as 1 s): 5 s at 20× is 0.25 s.
    let (player, _remote) = replay([line(0), line(4), line(30_000)].concat(), 20.0);
    let (feed, mut inbox) = crate::source::channel(64);
    let began = Instant::now();
    tokio::spawn(Box::new(player).run(feed, Stop::new()));
    let (frames, clocks, _) = drain(&mut inbox).await;
    let took = began.elapsed();
    assert_eq!((frames, clocks.last()), (3, Some(&30_000)));
    assert!(took >= Duration::from_millis(240) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn pause_holds_and_a_step_lets_one_line_through() {
    let (player, remote) = replay((0..10).map(line).collect(), f64::INFINITY);
    remote.pause(true);
    let (feed, mut inbox) = crate::source::channel(64);
    tokio::spawn(Box::new(player).run(feed, Stop::new()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(matches!(inbox.try_recv(), Ok(None)));
    remote.step(1);
    let batch = inbox.recv().await.unwrap();
    assert_eq!(batch.iter().filter(|i| matches!(i, Input::Frame(_))).count(), 1);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(inbox.try_recv(), Ok(None)));
    remote.pause(false);
    assert_eq!(drain(&mut inbox).await.0, 9);
}

/// Flows by their second since the last reset, and whether that was learnt only.
async fn until_clock(inbox: &mut crate::source::Inbox, second: i64, seen: &mut Vec<(i64, bool)>) {
    loop {
        for input in inbox.recv().await.unwrap() {
            match input {
                Input::Reset => seen.clear(),
                Input::Frame(f) => seen.push((crate::wire::clock::time_of(&f.bytes).unwrap().0 / Nanos::SECOND, true)),
                Input::Learnt(f) => seen.push((crate::wire::clock::time_of(&f.bytes).unwrap().0 / Nanos::SECOND, false)),
                Input::Link(Link::Clock { at }) if at.0 / Nanos::SECOND == second => return,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn one_goes_back_and_to_a_time_and_what_lies_far_before_only_teaches() {
    let text = || {
        let dns = "{\"flow\":{\"time\":\"x\",\"l7\":{\"dns\":{}}},\"time\":\"1970-01-01T00:00:00Z\"}\n".to_owned();
        dns + &(0..1000).map(line).collect::<String>()
    };
    let open = move || {
        let r = Recording::reader("t", Box::new(std::io::Cursor::new(text().into_bytes())), false)?;
        Ok(Tape::of(vec![r]))
    };
    let (player, remote) = Replay::new(open().unwrap(), f64::INFINITY);
    let (feed, mut inbox) = crate::source::channel(64);
    tokio::spawn(Box::new(player.again(open)).run(feed, Stop::new()));
    let mut seen = Vec::new();
    until_clock(&mut inbox, 999, &mut seen).await;
    assert_eq!((seen.len(), seen.last()), (1001, Some(&(999, true))));
    remote.pause(true);
    remote.seek(To::Time(Nanos(500 * Nanos::SECOND)));
    until_clock(&mut inbox, 499, &mut seen).await;
    // The answer, and the five minutes before.
    assert_eq!((seen[0], seen[1], seen.last(), seen.len()), ((0, false), (200, true), Some(&(499, true)), 301));
    remote.step(1);
    until_clock(&mut inbox, 500, &mut seen).await;
    remote.seek(To::Back);
    until_clock(&mut inbox, 499, &mut seen).await;
    assert_eq!(seen.last(), Some(&(499, true)));
    remote.pause(false);
    until_clock(&mut inbox, 999, &mut seen).await;
    assert_eq!((seen.last(), seen.iter().filter(|s| **s == (500, true)).count()), (Some(&(999, true)), 1));
    // Outside of the recording lies its nearest line, and the clock stands there.
    remote.pause(true);
    remote.seek(To::Time(Nanos(5_000 * Nanos::SECOND)));
    until_clock(&mut inbox, 998, &mut seen).await;
    assert_eq!((seen.last(), seen.len(), remote.overshot()), (Some(&(998, true)), 301, Some(Nanos(999 * Nanos::SECOND))));
    assert_eq!((remote.overshot(), remote.ended()), (None, false));
    remote.seek(To::Time(Nanos(-5 * Nanos::SECOND)));
    until_clock(&mut inbox, 0, &mut seen).await;
    assert_eq!(seen, [(0, true)]);
}
