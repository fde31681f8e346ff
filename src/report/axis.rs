//! From times to places on a chart: what runs is drawn to scale, long pauses are cut short.

use jiff::Timestamp;

/// The width of a pause that is cut short, and the least pause that is.
const PAUSE_WIDTH: f64 = 26.0;
const LEAST_PAUSE_S: i64 = 60;
/// How far apart labels are, at least.
const LABEL_WIDTH: f64 = 78.0;
/// The distances that labels may have, in seconds.
const STEPS_S: [i64; 14] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600];

/// A stretch of time on the chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Piece {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) x: f64,
    pub(super) width: f64,
    /// Nothing ran: people were waited for, or a time.
    pub(super) is_pause: bool,
}

/// All of the chart's time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis(Vec<Piece>);

impl Axis {
    /// An axis of this width over all that ran, from where to where each.
    pub(super) fn of(mut ran: Vec<(Timestamp, Timestamp)>, x: f64, width: f64) -> Self {
        ran.sort();
        let mut busy: Vec<(Timestamp, Timestamp)> = Vec::new();
        for (from, to) in ran {
            match busy.last_mut() {
                Some(last) if from.as_second() - last.1.as_second() < LEAST_PAUSE_S => last.1 = last.1.max(to),
                _ => busy.push((from, to)),
            }
        }
        let pauses = busy.len().saturating_sub(1) as f64;
        let total: f64 = busy.iter().map(|&(from, to)| seconds(from, to)).sum();
        let scale = (width - pauses * PAUSE_WIDTH).max(width / 4.0) / total.max(0.001);
        let (mut pieces, mut at) = (Vec::new(), x);
        let mut push = |from, to, width: f64, is_pause| {
            pieces.push(Piece { from, to, x: at, width, is_pause });
            at += width;
        };
        for (n, &(from, to)) in busy.iter().enumerate() {
            if n > 0 {
                push(busy[n - 1].1, from, PAUSE_WIDTH, true);
            }
            push(from, to, seconds(from, to) * scale, false);
        }
        Self(pieces)
    }

    /// Where a time is.
    pub(super) fn x(&self, at: Timestamp) -> f64 {
        let Some(piece) = self.0.iter().find(|piece| at <= piece.to).or(self.0.last()) else { return 0.0 };
        let part = seconds(piece.from, at) / seconds(piece.from, piece.to).max(0.001);
        piece.x + piece.width * part.clamp(0.0, 1.0)
    }

    /// The pauses that are cut short.
    pub(super) fn pauses(&self) -> impl Iterator<Item = &Piece> {
        self.0.iter().filter(|piece| piece.is_pause)
    }

    /// Labels, each with its place: round times, far enough apart to be read.
    pub(super) fn labels(&self) -> Vec<(f64, String)> {
        let mut out: Vec<(f64, String)> = Vec::new();
        for piece in self.0.iter().filter(|piece| !piece.is_pause) {
            let length = seconds(piece.from, piece.to);
            let fits = |step: &i64| piece.width * *step as f64 >= LABEL_WIDTH * length;
            let step = STEPS_S.into_iter().find(fits).unwrap_or(STEPS_S[STEPS_S.len() - 1]);
            let first = piece.from.as_second().div_euclid(step) * step + step;
            let round = (0..).map(|n| first + n * step).take_while(|s| *s <= piece.to.as_second());
            let round = round.filter_map(|s| Timestamp::from_second(s).ok()).map(|at| (at, step >= 60));
            // The beginning of each stretch is said to the second.
            for (at, is_whole) in [(piece.from, false)].into_iter().chain(round) {
                let x = self.x(at);
                if out.last().is_none_or(|(last, _)| x - last >= LABEL_WIDTH) {
                    out.push((x, at.strftime(if is_whole { "%H:%M" } else { "%H:%M:%S" }).to_string()));
                }
            }
        }
        out
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    (to.as_millisecond() - from.as_millisecond()) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn long_pauses_are_cut_short_and_order_is_kept() {
        let axis = Axis::of(vec![(at(0), at(100)), (at(50), at(120)), (at(50_000), at(50_080))], 0.0, 1026.0);
        assert_eq!(axis.pauses().map(|p| (p.from, p.to)).collect::<Vec<_>>(), [(at(120), at(50_000))]);
        let places: Vec<f64> = [0, 60, 120, 30_000, 50_000, 50_080].iter().map(|s| axis.x(at(*s))).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!((places[0], places[2], places[4], places[5]), (0.0, 600.0, 626.0, 1026.0));
    }

    #[test]
    fn labels_can_be_read() {
        let axis = Axis::of(vec![(at(3), at(1803))], 0.0, 900.0);
        let labels = axis.labels();
        assert_eq!(labels[0].1, "00:00:03");
        assert!(labels[1].1.ends_with(":00") || labels[1].1.len() == 5, "{labels:?}");
        assert!(labels.windows(2).all(|w| w[1].0 - w[0].0 >= LABEL_WIDTH), "{labels:?}");
    }

    #[test]
    fn nothing_ran() {
        let axis = Axis::of(Vec::new(), 0.0, 900.0);
        assert_eq!((axis.x(at(5)), axis.labels().len()), (0.0, 0));
        let moment = Axis::of(vec![(at(5), at(5))], 10.0, 900.0);
        assert_eq!(moment.x(at(5)), 10.0);
    }
}
