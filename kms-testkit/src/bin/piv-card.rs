//! A virtual PIV card with Yubico's extensions, in a reader of `vpcd`. See `--help`.

use std::io::{self, BufRead as _};
use std::process::ExitCode;
use std::time::Duration;

use kms_testkit::piv::{Card, CardOptions, Control, Fault, Inserted};

const HELP: &str = "\
Puts a virtual PIV card into the reader of vpcd (package vsmartcard-vpcd) on this machine.

  --port N          where the reader listens; 35963 unless given
  --firmware X.Y.Z  5.7.1 unless given
  --serial N        12345678 unless given
  --state FILE      keeps the card's state there, in the clear; in memory unless given
  --root FILE       writes the root certificate of the card's attestations there, DER

PIN 123456, PUK 12345678, management key as published by Yubico. It is for tests and keeps no secret.

Lines on standard input are what happens to the card:

  fail 87 6f00 2    the next 2 commands with instruction 87 are answered with those status words
  fail 87 silence   no answer comes to the next
  fail 87 removed, removed-after, lost, wrong-signature
  touch given, touch missed SECONDS, touch after SECONDS
  heal              no more faults
  count             prints the instructions of all commands since the last time
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("piv-card: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let (mut options, mut port, mut root) = (CardOptions::default(), 35963, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--help" || argument == "-h" {
            print!("{HELP}");
            return Ok(());
        }
        let value = arguments.next().ok_or_else(|| wrong(&format!("{argument} takes a value, see --help")))?;
        match &argument[..] {
            "--port" => port = value.parse().map_err(|_| wrong("--port takes a number"))?,
            "--serial" => options.serial = value.parse().map_err(|_| wrong("--serial takes a number"))?,
            "--firmware" => options.firmware = firmware(&value)?,
            "--state" => options.file = Some(value.into()),
            "--root" => root = Some(value),
            _ => return Err(wrong(&format!("unknown argument {argument}, see --help"))),
        }
    }
    let card = Card::new(&options)?;
    if let Some(root) = root {
        std::fs::write(root, card.attestation_root())?;
    }
    let inserted = Inserted::insert(card, port)?;
    let control = inserted.control().clone();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            match obey(&control, &line) {
                Ok(Some(answer)) => println!("{answer}"),
                Ok(None) => {}
                Err(error) => eprintln!("piv-card: {error}"),
            }
        }
    });
    inserted.wait().map(drop)
}

fn obey(control: &Control, line: &str) -> io::Result<Option<String>> {
    let seconds = |text: &str| text.parse().map(Duration::from_secs).map_err(|_| wrong("not a number of seconds"));
    let words: Vec<_> = line.split_whitespace().collect();
    match words[..] {
        [] => {}
        ["heal"] => control.heal(),
        ["count"] => {
            let instructions = control.take_instructions();
            let hex: Vec<_> = instructions.iter().map(|instruction| format!("{instruction:02x}")).collect();
            return Ok(Some(hex.join(" ")));
        }
        ["touch", "given"] => control.touch_after(Duration::ZERO),
        ["touch", "missed", time] => control.miss_touch(seconds(time)?),
        ["touch", "after", time] => control.touch_after(seconds(time)?),
        ["fail", instruction, fault, ref times @ ..] => {
            let instruction = u8::from_str_radix(instruction, 16).map_err(|_| wrong("not an instruction"))?;
            let times = match times {
                [] => 1,
                [times] => times.parse().map_err(|_| wrong("not a number of times"))?,
                _ => return Err(wrong("too many words")),
            };
            control.fail(instruction, self::fault(fault)?, times);
        }
        _ => return Err(wrong("unknown order, see --help")),
    }
    Ok(None)
}

fn fault(name: &str) -> io::Result<Fault> {
    Ok(match name {
        "silence" => Fault::Silence,
        "removed" => Fault::Removed,
        "removed-after" => Fault::RemovedAfter,
        "lost" => Fault::SessionLost,
        "wrong-signature" => Fault::WrongSignature,
        status => Fault::Status(u16::from_str_radix(status, 16).map_err(|_| wrong("unknown fault, see --help"))?),
    })
}

fn firmware(text: &str) -> io::Result<[u8; 3]> {
    let numbers: Result<Vec<u8>, _> = text.split('.').map(str::parse).collect();
    let numbers = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    numbers.ok_or_else(|| wrong("--firmware takes three numbers: 5.7.1"))
}

fn wrong(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
