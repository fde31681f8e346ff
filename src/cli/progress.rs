//! What somebody who waits sees: a bar on a terminal; elsewhere lines, and a heartbeat that names what runs. Keeps how long
//! each step took.

mod moving;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use parking_lot::Mutex;

use self::moving::Moving;
use super::paint;
use crate::effects::{Progress, ProgressEvent, Transfers};
pub(super) use crate::model::spent;
use crate::model::{RunnerName, StoreName};
use crate::step::StepId;

/// How many running steps a heartbeat names.
const NAMED: usize = 4;
/// How much rarer a heartbeat is while the same steps run.
const CALM: u32 = 2;

/// Shows progress, but for `silent`. Away from a terminal a heartbeat comes after each `beat`, and half as often while
/// nothing changes; none if `beat` is zero.
pub(super) fn watch(silent: bool, beat: Duration, style: LineStyle) -> Arc<dyn Progress> {
    let table = Arc::new(Mutex::new(Table::default()));
    let mut heart = None;
    let show: Box<dyn Show> = if silent {
        Box::new(Silent)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bar::new(style, table.clone()))
    } else {
        if !beat.is_zero() {
            let (own, ended) = channel();
            let table = table.clone();
            std::thread::spawn(move || keep_beating(&ended, beat, &table));
            heart = Some(own);
        }
        Box::new(Lines { style })
    };
    Arc::new(Watch { table, show, _heart: heart.map(Mutex::new) })
}

/// How lines look.
#[derive(Debug, Clone, Copy)]
pub(super) struct LineStyle {
    /// Says where logs are.
    pub(super) verbose: bool,
    /// Has colours.
    pub(super) colour: bool,
}

impl LineStyle {
    fn painted(self, text: String) -> String {
        if self.colour { paint::painted(&text) } else { text }
    }
}

/// What runs, and what ended.
#[derive(Default)]
struct Table {
    running: BTreeMap<StepId, Running>,
    took: Vec<(StepId, Duration)>,
    moving: BTreeMap<StoreName, Moving>,
    /// How many steps there are, and how many of them succeeded.
    steps: (usize, usize),
    jobs: Option<Jobs>,
}

struct Running {
    since: Instant,
    log: Option<PathBuf>,
    /// Where its job runs, and how long that is expected to take.
    on: Option<(RunnerName, Option<Duration>)>,
}

/// How far the jobs of the train are, as it was last said.
#[derive(Clone, Copy)]
struct Jobs {
    running: usize,
    waiting: usize,
    /// When all should have ended, if that is known.
    until: Option<Instant>,
}

impl Table {
    /// Takes an event; says how long a step took that it ends.
    fn take(&mut self, event: &ProgressEvent) -> Option<Duration> {
        match event {
            ProgressEvent::Started(id) => {
                self.running.insert(id.clone(), Running { since: Instant::now(), log: None, on: None });
                None
            }
            ProgressEvent::Working { step, log, runner, expected } => {
                let running = self.running.get_mut(step)?;
                (running.log, running.on) = (log.clone(), Some((runner.clone(), *expected)));
                None
            }
            ProgressEvent::Planned { total, done } => {
                self.steps = (*total, *done);
                None
            }
            ProgressEvent::Jobs { running, waiting, left } => {
                let (running, waiting, until) = (*running, *waiting, left.map(|left| Instant::now() + left));
                self.jobs = Some(Jobs { running, waiting, until });
                None
            }
            ProgressEvent::Succeeded(id) | ProgressEvent::Deferred(id, _) | ProgressEvent::Failed(id, _) => {
                self.steps.1 += usize::from(matches!(event, ProgressEvent::Succeeded(_)));
                let took = self.running.remove(id)?.since.elapsed();
                self.took.push((id.clone(), took));
                Some(took)
            }
            ProgressEvent::Ended => {
                self.jobs = None;
                self.running.clear();
                None
            }
            ProgressEvent::Moved(..) | ProgressEvent::Note(_) => None,
        }
    }

    /// How far the transfers are, a line for each store to or from which something moves.
    fn moving(&mut self) -> Vec<String> {
        self.moving.iter_mut().filter_map(|(store, moving)| moving.look(store)).collect()
    }

    /// How far all of it is, where jobs take long.
    fn whole(&self) -> Option<String> {
        let Jobs { running, waiting, until } = self.jobs?;
        if running + waiting == 0 {
            return None;
        }
        let left = until.and_then(|until| until.checked_duration_since(Instant::now()));
        let ends = |left: Duration| Some((left, jiff::Timestamp::now().checked_add(left).ok()?));
        let expected = left
            .and_then(ends)
            .map(|(left, at)| format!("; about {} more, until {}", spent(left), crate::model::utc(at)));
        let ((total, done), expected) = (self.steps, expected.unwrap_or_default());
        Some(format!("so far    {done} of {total} steps done; jobs: {running} run, {waiting} wait{expected}"))
    }

    /// The lines of a heartbeat: what has run longest comes first.
    fn beat(&mut self) -> Vec<String> {
        let moving = self.moving();
        let mut running: Vec<_> = self.running.iter().collect();
        running.sort_by_key(|(_, r)| r.since);
        let line = |(id, r): &(&StepId, &Running)| {
            let log = r.log.as_ref().map(|p| format!(", log: {}", p.display())).unwrap_or_default();
            let (on, about) = match &r.on {
                Some((runner, expected)) => {
                    let about = expected.map(|e| format!(" of about {}", spent(e))).unwrap_or_default();
                    (format!(" on {runner}"), about)
                }
                None => Default::default(),
            };
            format!("running   {id}{on} for {}{about}{log}", spent(r.since.elapsed()))
        };
        let whole = self.whole();
        let mut lines: Vec<String> = whole.into_iter().collect();
        lines.extend(running.iter().take(NAMED).map(line));
        if running.len() > NAMED {
            lines.push(format!("running   and {} more", running.len() - NAMED));
        }
        lines.extend(moving.into_iter().map(|text| format!("moving    {text}")));
        lines
    }
}

/// Prints what runs until the other end of `ended` is gone.
fn keep_beating(ended: &Receiver<()>, beat: Duration, table: &Mutex<Table>) {
    let (mut pause, mut before) = (beat, Vec::new());
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(pause) {
        let mut table = table.lock();
        let now: Vec<StepId> = table.running.keys().cloned().collect();
        for line in table.beat() {
            // With standard error closed there is nowhere left to write.
            drop(writeln!(std::io::stderr().lock(), "{line}"));
        }
        pause = if now == before { beat * CALM } else { beat };
        before = now;
    }
}

/// Takes events on to where they are shown.
struct Watch {
    table: Arc<Mutex<Table>>,
    show: Box<dyn Show>,
    /// The heartbeat ends when this is dropped.
    _heart: Option<Mutex<Sender<()>>>,
}

impl Progress for Watch {
    fn event(&self, event: ProgressEvent) {
        let took = self.table.lock().take(&event);
        self.show.show(&event, took);
    }

    fn transfers(&self, store: &StoreName, transfers: &Arc<Transfers>) {
        let moving = &mut self.table.lock().moving;
        if !moving.get(store).is_some_and(|moving| moving.is_of(transfers)) {
            moving.insert(store.clone(), Moving::new(transfers.clone()));
        }
    }

    fn times(&self) -> Vec<(StepId, Duration)> {
        self.table.lock().took.clone()
    }
}

/// One way to show progress.
trait Show: Send + Sync {
    /// Shows one event; `took` is how long the step ran that it ends.
    fn show(&self, event: &ProgressEvent, took: Option<Duration>);
}

struct Silent;

impl Show for Silent {
    fn show(&self, _: &ProgressEvent, _: Option<Duration>) {}
}

/// The bar that is on the terminal now.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Does something with the terminal, with no bar in the way: a bar draws over what stands in its line.
pub(super) fn suspended<T>(work: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().clone();
    match shown {
        Some(bar) => bar.suspend(work),
        None => work(),
    }
}

/// A bar with the steps that ended above it. Before there are steps there is none.
struct Bar {
    bar: ProgressBar,
    style: LineStyle,
}

impl Bar {
    fn new(style: LineStyle, table: Arc<Mutex<Table>>) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        let look = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {pos}/{len} {msg} {moving}");
        let look = look.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
        // Asked at each drawing.
        let moving = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            // A line that cannot be drawn is drawn again soon.
            let _ = out.write_str(&table.lock().moving().join("; "));
        };
        bar.set_style(look.with_key("moving", moving));
        Self { bar, style }
    }

    /// Puts the bar on the terminal, or takes it away.
    fn display(&self, now: bool) {
        let mut shown = SHOWN.lock();
        if now == shown.is_some() {
            return;
        }
        if now {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(Duration::from_millis(200));
            *shown = Some(self.bar.clone());
        } else {
            self.bar.finish_and_clear();
            *shown = None;
        }
    }
}

impl Show for Bar {
    fn show(&self, event: &ProgressEvent, took: Option<Duration>) {
        match event {
            ProgressEvent::Planned { total, done } => {
                self.bar.set_length(*total as u64);
                self.bar.set_position(*done as u64);
                self.display(true);
            }
            ProgressEvent::Started(id) => self.bar.set_message(id.to_string()),
            ProgressEvent::Working { step, runner, .. } => self.bar.set_message(format!("{step} on {runner}")),
            ProgressEvent::Succeeded(_) => self.bar.inc(1),
            ProgressEvent::Ended => self.display(false),
            _ => {}
        }
        if let Some(line) = line(event, took, self.style.verbose) {
            let line = self.style.painted(line);
            suspended(|| drop(writeln!(std::io::stderr().lock(), "{line}")));
        }
    }
}

struct Lines {
    style: LineStyle,
}

impl Show for Lines {
    fn show(&self, event: &ProgressEvent, took: Option<Duration>) {
        let text = match (event, line(event, took, self.style.verbose)) {
            (_, Some(text)) => text,
            (ProgressEvent::Started(id), None) => format!("start     {id}"),
            _ => return,
        };
        drop(writeln!(std::io::stderr().lock(), "{}", self.style.painted(text)));
    }
}

fn line(event: &ProgressEvent, took: Option<Duration>, verbose: bool) -> Option<String> {
    let took = took.map(|t| format!(" in {}", spent(t))).unwrap_or_default();
    match event {
        ProgressEvent::Planned { .. }
        | ProgressEvent::Started(_)
        | ProgressEvent::Jobs { .. }
        | ProgressEvent::Ended => None,
        ProgressEvent::Working { step, log: Some(log), runner, .. } if verbose => {
            Some(format!("log       {step} on {runner}: {}", log.display()))
        }
        ProgressEvent::Working { .. } => None,
        ProgressEvent::Moved(id, why) => Some(format!("moved     {id}: {why}")),
        ProgressEvent::Succeeded(id) => Some(format!("done      {id}{took}")),
        ProgressEvent::Deferred(id, why) => Some(format!("deferred  {id}{took}: {why}")),
        ProgressEvent::Failed(id, why) => Some(format!("failed    {id}{took}: {why}")),
        ProgressEvent::Note(text) => Some(text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let text = |ms| spent(Duration::from_millis(ms));
        assert_eq!([text(430), text(12_900), text(185_000)], ["0.4 s", "12 s", "3 min 05 s"]);
        assert_eq!(text(7_500_000), "2 h 05 min");
    }

    #[test]
    fn a_heartbeat_names_what_runs_and_where_its_log_is() {
        let mut table = Table::default();
        let id = |n: usize| serde_json::from_value::<StepId>(format!("build/main/t{n}").into()).unwrap();
        for n in 0..6 {
            table.take(&ProgressEvent::Started(id(n)));
        }
        let (runner, log) = (RunnerName::new("mac-mini").unwrap(), Some(PathBuf::from("/jobs/a/log")));
        let expected = Some(Duration::from_secs(540));
        table.take(&ProgressEvent::Working { step: id(0), log, runner, expected });
        let lines = table.beat();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[0], "running   build/main/t0 on mac-mini for 0.0 s of about 9 min 00 s, log: /jobs/a/log");
        assert_eq!(lines[4], "running   and 2 more");
        assert!(table.take(&ProgressEvent::Succeeded(id(0))).is_some());
        assert!(table.beat().iter().all(|l| !l.contains("t0")), "what ended runs no longer");
        table.take(&ProgressEvent::Planned { total: 9, done: 3 });
        table.take(&ProgressEvent::Jobs { running: 5, waiting: 2, left: Some(Duration::from_secs(700)) });
        let whole = table.beat().remove(0);
        assert!(whole.starts_with("so far    3 of 9 steps done; jobs: 5 run, 2 wait; about 11 min"), "{whole}");
        table.take(&ProgressEvent::Ended);
        assert_eq!(table.beat(), Vec::<String>::new());
        assert_eq!(table.took.len(), 1);
    }
}
