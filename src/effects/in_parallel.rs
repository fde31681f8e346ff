//! Many acts of one kind, several at once: the one way in which files go to a store or to a forge side by side.

use std::collections::BTreeMap;
use std::future::Future;

use tokio::task::JoinSet;

use crate::error::{Error, ErrorKind, Result};

/// Does `work` for every item, at most `at_once` together, begun in their order; the results are in that order, too.
///
/// What is under way ends before a failure is returned, so that nothing is in flight at the next read. After a failure nothing
/// new is begun, unless it may pass when tried again and something got through since: a server that swallows everything is
/// asked once, and one that fails now and then is not left alone.
///
/// # Errors
/// The first failure; one that may pass when tried again only if there is no other.
pub async fn in_parallel<T, R, F>(
    items: impl IntoIterator<Item = T, IntoIter: Send>,
    at_once: usize,
    work: impl Fn(T) -> F + Send,
) -> Result<Vec<R>>
where
    R: Send + 'static,
    F: Future<Output = Result<R>> + Send + 'static,
{
    let mut waiting = items.into_iter().enumerate();
    let mut flying: JoinSet<(usize, Result<R>)> = JoinSet::new();
    let (mut done, mut worst): (BTreeMap<usize, R>, Option<Error>) = (BTreeMap::new(), None);
    let mut gets_through = true;
    loop {
        let goes_on = worst.as_ref().is_none_or(|e| e.kind() == ErrorKind::Transient) && gets_through;
        while goes_on && flying.len() < at_once.max(1) {
            let Some((n, item)) = waiting.next() else { break };
            let act = work(item);
            flying.spawn(async move { (n, act.await) });
        }
        let Some(ended) = flying.join_next().await else { break };
        let (n, ended) = ended.map_err(|e| Error::fatal("a transfer ended in a panic").because(e))?;
        gets_through = ended.is_ok();
        match ended {
            Ok(result) => drop(done.insert(n, result)),
            Err(e) => {
                let may_pass = |e: &Error| e.kind() == ErrorKind::Transient;
                if worst.as_ref().is_none_or(|worst| may_pass(worst) && !may_pass(&e)) {
                    worst = Some(e);
                }
            }
        }
    }
    worst.map_or(Ok(done.into_values().collect()), Err)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[tokio::test]
    async fn never_more_than_so_many_and_all_of_them() {
        for (at_once, most) in [(1, 1), (3, 3), (0, 1), (100, 20)] {
            let (now, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let work = |n: usize| {
                let (now, seen) = (now.clone(), seen.clone());
                async move {
                    seen.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    for _ in 0..=n % 5 {
                        tokio::task::yield_now().await;
                    }
                    now.fetch_sub(1, SeqCst);
                    Ok(n * 2)
                }
            };
            let done = in_parallel(0..20, at_once, work).await.unwrap();
            assert_eq!(done, (0..20).map(|n| n * 2).collect::<Vec<_>>(), "in the order of the items");
            assert_eq!(seen.load(SeqCst), most);
        }
    }

    #[tokio::test]
    async fn after_a_failure_nothing_new_begins_and_what_is_under_way_ends() {
        let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = |n: usize| {
            let (begun, ended) = (begun.clone(), ended.clone());
            async move {
                begun.fetch_add(1, SeqCst);
                if n == 1 {
                    return Err(Error::conflict("other bytes"));
                }
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                ended.fetch_add(1, SeqCst);
                Ok(())
            }
        };
        let e = in_parallel(0..100, 4, work).await.unwrap_err();
        assert_eq!((e.message(), begun.load(SeqCst), ended.load(SeqCst)), ("other bytes", 4, 3));
    }

    #[tokio::test]
    async fn what_may_pass_stops_nothing_unless_nothing_gets_through() {
        let run = |fails: fn(usize) -> Option<ErrorKind>| async move {
            let begun = Arc::new(AtomicUsize::new(0));
            let work = |n: usize| {
                begun.fetch_add(1, SeqCst);
                async move { fails(n).map_or(Ok(()), |kind| Err(Error::new(kind, format!("{n}")))) }
            };
            let done = in_parallel(0..50, 2, work).await;
            (begun.load(SeqCst), done.map(drop).map_err(|e| e.message().to_owned()))
        };
        assert_eq!(run(|n| (n == 3).then_some(ErrorKind::Transient)).await, (50, Err("3".to_owned())));
        assert_eq!(run(|_| Some(ErrorKind::Transient)).await, (2, Err("0".to_owned())));
        let (begun, e) = run(|n| match n {
            3 => Some(ErrorKind::Transient),
            7 => Some(ErrorKind::Fatal),
            _ => None,
        })
        .await;
        assert!(begun < 12 && e == Err("7".to_owned()), "what nothing helps is said first: {begun}, {e:?}");
    }
}
