//! What signing through this crate costs, against a C program that calls `C_SignInit` and `C_Sign` and nothing else.
//!
//! `cargo bench -p kms-pkcs11 --bench floor` makes a SoftHSM token, compiles the C program and prints tables. Behind `--`,
//! a number is how many rounds, and a word leaves those rows only whose name has it. In each round the two sides of a row
//! run one after the other, so that a busy neighbour slows both alike, and what counts is the median of the rounds' own
//! ratios.

mod load;
mod place;
mod table;
mod waking;

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{self as lc, ParsedPublicKey};
use kms_core::{Execution, Signer, block_on};

use crate::load::alone;
use crate::place::{DIGEST, Place};
use crate::table::{Goals, Row, line, median};

/// How long each side of a row runs in one round.
const TURN: Duration = Duration::from_millis(400);

const ROUNDS: usize = 9;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let place = Place::new()?;
    if place::is_cold() {
        println!("{}", place.open_and_sign()?.as_secs_f64() * 1e3);
        return Ok(());
    }
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(ROUNDS).max(1);
    place.make_keys()?;
    // Before the other token is filled: SoftHSM reads all tokens when it is initialised.
    let cold = (0..rounds).map(|_| place::cold_start()).collect::<Result<Vec<_>>>()?;
    place.fill("many", 200)?;
    against_the_floor(&place, rounds)?;
    verification(&place, rounds)?;
    hand_over(&place, rounds)?;
    let worst = cold.iter().copied().fold(0.0, f64::max);
    let middle = median(cold);
    line("open and first signature in a new process: median, worst", &[middle, worst], "ms");
    line("", &[], if middle <= 10.0 { "goal: ≤ 10 ms, met" } else { "goal: ≤ 10 ms, MISSED" });
    Ok(())
}

fn against_the_floor(place: &Place, rounds: usize) -> Result<()> {
    let direct = place.signer("few", "ec", Execution::Direct, false)?;
    let guarded = place.signer("few", "ec", Execution::Guarded, false)?;
    let verified = place.signer("few", "ec", Execution::Direct, true)?;
    let guarded_verified = place.signer("few", "ec", Execution::Guarded, true)?;
    let rsa = place.signer("few", "rsa", Execution::Direct, false)?;
    let many = place.signer("many", "ec", Execution::Direct, false)?;

    let floor = |threads, key| move || place.floor(threads, key, TURN);
    let sync = |signer, threads| move || Ok(load::threads(signer, threads, TURN));
    let tasks = |signer, number| move || load::tasks(signer, number, TURN);
    let none = Goals::default();
    let one = Goals { cpu: Some((0.0, 1.10)), ..none };
    let eight = Goals { cpu: Some((0.0, 1.15)), ops: Some(0.87) };
    let guard = Goals { ops: Some(0.85), ..none };
    let same = Goals { cpu: Some((0.95, 1.05)), ..none };
    let mut rows = vec![
        Row::new("P-256, 1 thread: C → direct", floor(1, "ec"), sync(&direct, 1), one),
        Row::new("P-256, 8 threads: C → direct", floor(8, "ec"), sync(&direct, 8), eight),
        Row::new("P-256, 1 thread: C → guarded", floor(1, "ec"), sync(&guarded, 1), none),
        Row::new("P-256, 8 threads: C → guarded", floor(8, "ec"), sync(&guarded, 8), guard),
        Row::new("P-256, 1 task: C → guarded, async", floor(1, "ec"), tasks(&guarded, 1), none),
        Row::new("P-256, 8 tasks: C → guarded, async", floor(8, "ec"), tasks(&guarded, 8), guard),
        Row::new("P-256, 1 thread: C → direct, verified", floor(1, "ec"), sync(&verified, 1), none),
        Row::new("P-256, 8 threads: C → direct, verified", floor(8, "ec"), sync(&verified, 8), none),
        Row::new("P-256, 1 thread: C → guarded, verified", floor(1, "ec"), sync(&guarded_verified, 1), none),
        Row::new("P-256, 8 threads: C → guarded, verified", floor(8, "ec"), sync(&guarded_verified, 8), none),
        Row::new("RSA-2048, 1 thread: C → direct", floor(1, "rsa"), sync(&rsa, 1), one),
        Row::new("RSA-2048, 8 threads: C → direct", floor(8, "rsa"), sync(&rsa, 8), eight),
        Row::new("P-256, 1 thread, direct: 1 key → 201", sync(&direct, 1), sync(&many, 1), same),
    ];
    let words: Vec<_> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-') && word.parse::<usize>().is_err()).collect();
    rows.retain(|row| words.iter().all(|word| row.name.contains(word.as_str())));
    // So that what is done once, such as opening sessions, is done.
    for row in &rows {
        row.warm_up()?;
    }
    for round in 0..rounds {
        for row in &mut rows {
            row.run(round)?;
        }
    }
    println!("\n{}", table::HEAD);
    for row in &rows {
        print!("{row}");
    }
    println!();
    Ok(())
}

/// What verification adds to the median time of a signature, against one bare verification.
fn verification(place: &Place, rounds: usize) -> Result<()> {
    let off = place.signer("few", "ec", Execution::Direct, false)?;
    let on = place.signer("few", "ec", Execution::Direct, true)?;
    let public = ParsedPublicKey::new(&lc::ECDSA_P256_SHA256_ASN1, off.public_key().spki_der())?;
    let made = block_on(off.sign_digest(&DIGEST))?;
    let digest = digest::Digest::import_less_safe(&DIGEST, &digest::SHA256)?;
    let verify = || _ = black_box(public.verify_digest_sig(&digest, made.as_bytes()));
    let sign = |signer: &dyn Signer| drop(black_box(block_on(signer.sign_digest(&DIGEST))));
    let times: Vec<_> = (0..rounds)
        .map(|_| [alone(TURN, || sign(&*off)).p50, alone(TURN, || sign(&*on)).p50, alone(TURN, verify).p50])
        .collect();
    let [without, with, bare] = [0, 1, 2].map(|side| median(times.iter().map(|round| round[side])));
    let ratio = median(times.iter().map(|[without, with, bare]| (with - without) / bare));
    line("P-256, 1 thread, direct, p50: not verified, verified, one bare verification", &[without, with, bare], "µs");
    let goal = if ratio <= 1.3 { "× (goal: ≤ 1.3, met)" } else { "× (goal: ≤ 1.3, MISSED)" };
    line("  added, against the bare one", &[ratio], goal);
    Ok(())
}

/// Where the time of a guarded signature goes, and what the system takes for the two wake-ups alone.
fn hand_over(place: &Place, rounds: usize) -> Result<()> {
    let signer = place.signer("few", "ec", Execution::Direct, false)?;
    let work = load::threads(&signer, 1, TURN).p50;
    let (mut wakes, mut steps) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        wakes.push(waking::two_wake_ups(Duration::from_secs_f64(work / 1e6), TURN).p50 - work);
        steps.push(waking::workers(&signer, TURN));
    }
    let steps = [0, 1, 2].map(|step| median(steps.iter().map(|round| round[step])));
    line("P-256, 1 thread, guarded, p50: worker begins, signs, caller has it", &steps, "µs");
    line("  two wake-ups of threads alone", &[median(wakes)], "µs");
    Ok(())
}
