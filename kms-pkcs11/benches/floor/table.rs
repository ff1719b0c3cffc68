//! Rows of two sides, run in turns.

use std::fmt;

use crate::Result;
use crate::load::Sample;

pub(crate) const HEAD: &str = "medians of the rounds                          \
    sign/s          ×     p50 µs        ×       p99 µs     CPU µs/op        ×  goals";

type Side<'a> = Box<dyn Fn() -> Result<Sample> + 'a>;

/// Two sides and what they showed, round by round.
pub(crate) struct Row<'a> {
    pub(crate) name: &'static str,
    sides: [Side<'a>; 2],
    goals: Goals,
    rounds: Vec<[Sample; 2]>,
}

/// What the ratios of the second side to the first are to be.
#[derive(Clone, Copy, Default)]
pub(crate) struct Goals {
    /// From, to.
    pub(crate) cpu: Option<(f64, f64)>,
    /// At least.
    pub(crate) ops: Option<f64>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(
        name: &'static str,
        first: impl Fn() -> Result<Sample> + 'a,
        second: impl Fn() -> Result<Sample> + 'a,
        goals: Goals,
    ) -> Self {
        Self { name, sides: [Box::new(first), Box::new(second)], goals, rounds: Vec::new() }
    }

    /// Runs the second side, and forgets it.
    pub(crate) fn warm_up(&self) -> Result<()> {
        (self.sides[1])().map(drop)
    }

    /// Runs both sides; which one is first changes from round to round.
    pub(crate) fn run(&mut self, round: usize) -> Result<()> {
        let [first, second] = &self.sides;
        self.rounds.push(if round.is_multiple_of(2) {
            [first()?, second()?]
        } else {
            let second = second()?;
            [first()?, second]
        });
        Ok(())
    }

    fn ratio(&self, of: fn(&Sample) -> f64) -> f64 {
        median(self.rounds.iter().map(|[first, second]| of(second) / of(first)))
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = |of: fn(&Sample) -> f64| [0, 1].map(|side| median(self.rounds.iter().map(|round| of(&round[side]))));
        let (ops, cpu) = (self.ratio(|side| side.ops), self.ratio(|side| side.cpu));
        let [ops_1, ops_2] = pair(|side| side.ops);
        let [p50_1, p50_2] = pair(|side| side.p50);
        let [p99_1, p99_2] = pair(|side| side.p99);
        let [cpu_1, cpu_2] = pair(|side| side.cpu);
        write!(f, "{:<40} {ops_1:>6.0} {ops_2:>6.0} {ops:>6.3} ", self.name)?;
        write!(f, "{p50_1:>6.1} {p50_2:>6.1} {:>6.3} {p99_1:>6.0} {p99_2:>6.0} ", self.ratio(|side| side.p50))?;
        write!(f, "{cpu_1:>6.1} {cpu_2:>6.1} {cpu:>6.3} ")?;
        if let Some((from, to)) = self.goals.cpu {
            let from = if from > 0.0 { format!("{from}–") } else { "≤ ".to_owned() };
            write!(
                f,
                " CPU {from}{to}: {}",
                met((0.0..=to).contains(&cpu) && cpu >= self.goals.cpu.unwrap_or_default().0)
            )?;
        }
        if let Some(least) = self.goals.ops {
            write!(f, " sign/s ≥ {least}: {}", met(ops >= least))?;
        }
        writeln!(f)
    }
}

fn met(is: bool) -> &'static str {
    if is { "met" } else { "MISSED" }
}

/// One line below the table.
pub(crate) fn line(what: &str, values: &[f64], unit: &str) {
    let values: Vec<_> = values.iter().map(|value| format!("{value:.2}")).collect();
    println!("{what:<78} {} {unit}", values.join(", "));
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
