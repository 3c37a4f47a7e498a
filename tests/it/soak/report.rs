//! What is told of a soak, in Markdown.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    process::Command,
    time::{Duration, SystemTime},
};

use super::{
    Findings, Soak,
    chaos::REPLACED,
    kinds::Kind,
    limits, memory,
    pair::{LIMIT, WINDOW},
    phases::{Pace, Trouble},
    provider::End,
};

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// The whole report.
pub(super) fn write(soak: &Soak, findings: &Findings, command: &str) -> String {
    let mut out = String::new();
    head(&mut out, soak, findings, command);
    failures(&mut out, soak);
    troubles(&mut out, findings.pace);
    outcomes(&mut out, soak);
    phases(&mut out, soak);
    money(&mut out, soak, findings);
    rate(&mut out, soak);
    memory_of(&mut out, soak, findings);
    out
}

fn head(out: &mut String, soak: &Soak, findings: &Findings, command: &str) {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let commit = said("git", &["describe", "--always", "--dirty"]);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default().trim_start_matches("MemTotal:").trim().to_owned();
    let (took, rounds) = (findings.took, findings.rounds);
    let requests: u64 = soak.tally.lock().unwrap().counts.values().sum();
    lines(
        out,
        &format!(
            "# Soak\n\n\
         Written by `scripts/soak`. Two pairs of instances, each pair on a Redis of its own: one natively, one over a stand-in for Upstash's\n\
         REST. Clients ask at a steady rate; every answer is compared with the one right answer to its question, while the store, the\n\
         provider and the instances get into trouble in turn.\n\n\
         | | |\n|---|---|\n\
         | command | `{command}` |\n\
         | date | {date} |\n\
         | commit | `{commit}` |\n\
         | machine | {cores} cores, {memory} of memory, {} |\n\
         | duration | {} s, {rounds} rounds of {} troubles |\n\
         | requests | {requests} |\n\n",
            said("uname", &["-sr"]),
            took.as_secs(),
            Trouble::ALL.len(),
        ),
    );
}

fn failures(out: &mut String, soak: &Soak) {
    let tally = soak.tally.lock().unwrap();
    lines(out, "## Failures\n\n");
    if tally.violations.is_empty() {
        lines(out, "None: nothing was lost, nothing was served that should not be.\n\n");
        return;
    }
    lines(out, &format!("{} in all; the first of them:\n\n", tally.violations.len() + tally.untold));
    for violation in &tally.violations {
        lines(out, &format!("- {}\n", violation.replace('\n', " ")));
    }
    lines(out, "\n");
}

fn troubles(out: &mut String, pace: Pace) {
    lines(
        out,
        "## What goes wrong\n\n\
        «Settles» is how long behind it clients may still feel it; from then on, everything has to be as if nothing had been. A store that\n\
        failed is looked at again after 1, 2 and 4 s, a provider after 5 and 10 s. Whatever the store is at, only sessions and the limited\n\
        client's rate may change by it; no connection breaks but those to an instance that is killed.\n\n\
        | trouble | on Redis | over REST | lasts | settles |\n|---|---|---|--:|--:|\n",
    );
    for trouble in Trouble::ALL {
        let ([native, rest], lasts, settles) = (trouble.deeds(), pace.lasts(trouble), pace.settles(trouble));
        lines(out, &format!("| {} | {native} | {rest} | {lasts:?} | {settles:?} |\n", trouble.words()));
    }
    lines(out, &format!("| quiet, behind each | | | {:?} | |\n\n", pace.quiet));
}

fn columns() -> Vec<&'static str> {
    let troubles = Trouble::ALL.iter().map(|trouble| trouble.words());
    ["quiet"].into_iter().chain(troubles).chain(["settling"]).collect()
}

fn outcomes(out: &mut String, soak: &Soak) {
    let counts = soak.tally.lock().unwrap().counts.clone();
    let rows: BTreeSet<(Kind, String)> = counts.keys().map(|(kind, ending, _)| (*kind, ending.clone())).collect();
    lines(
        out,
        "## What came of each request\n\n\
        By what went wrong when it began: what is broken off under «quiet» met an instance that was killed or stopped later. «200, asked»: the provider was asked for it; «joined»: another request's call; «hit», «stale»: from\n\
        the cache, within and past its lifetime; «stood in»: from the cache, because the provider failed.\n\n",
    );
    lines(out, &format!("| kind | ending | {} | sum |\n", columns().join(" | ")));
    lines(out, &format!("|---|---|{}\n", "--:|".repeat(columns().len() + 1)));
    for (kind, ending) in rows {
        let of = |phase: &'static str| counts.get(&(kind, ending.clone(), phase)).copied().unwrap_or_default();
        let cells: Vec<u64> = columns().into_iter().map(of).collect();
        let shown: Vec<String> =
            cells.iter().map(|count| if *count == 0 { String::new() } else { count.to_string() }).collect();
        lines(
            out,
            &format!("| {} | {ending} | {} | {} |\n", kind.words(), shown.join(" | "), cells.iter().sum::<u64>()),
        );
    }
    lines(out, "\n");
}

fn phases(out: &mut String, soak: &Soak) {
    let tally = soak.tally.lock().unwrap();
    lines(
        out,
        "## How long answers took\n\nAnswers with 200, until their last byte, slow readers and slow streams among them.\n\n\
        | while | answers | p50 | p99 | longest |\n|---|--:|--:|--:|--:|\n",
    );
    for phase in columns() {
        let mut took = tally.took_ms.get(phase).cloned().unwrap_or_default();
        took.sort_unstable();
        let Some(longest) = took.last() else { continue };
        let at = |share: usize| took[(took.len() - 1) * share / 100];
        lines(out, &format!("| {phase} | {} | {} ms | {} ms | {longest} ms |\n", took.len(), at(50), at(99)));
    }
    lines(out, "\n");
}

fn money(out: &mut String, soak: &Soak, findings: &Findings) {
    lines(out, "## Calls and money\n\n| | ");
    lines(out, &soak.pairs.iter().map(|pair| pair.name).collect::<Vec<_>>().join(" | "));
    lines(out, " |\n|---|--:|--:|\n");
    let mut row = |what: &str, of: &dyn Fn(usize) -> String| {
        lines(out, &format!("| {what} | {} | {} |\n", of(0), of(1)));
    };
    for (end, words) in [
        (End::Whole, "calls that the provider answered to the last byte"),
        (End::Failed, "calls that it refused with an error, or with a page"),
        (End::Cut, "calls that it cut"),
        (End::Left, "calls that the gateway gave up before the end, or died in"),
        (End::Open, "calls without an end"),
    ] {
        row(words, &|pair| findings.calls[pair].iter().filter(|call| call.end == end).count().to_string());
    }
    row("what they cost by the catalogue", &|pair| dollars(findings.accounts[pair].provider.micro_dollars));
    row("what is booked for answers, guesses aside", &|pair| dollars(findings.accounts[pair].booked.micro_dollars));
    row("answers that are booked, guesses among them", &|pair| findings.accounts[pair].booked.answers.to_string());
    row("their tokens, input / output, guesses among them", &|pair| {
        let booked = findings.accounts[pair].booked;
        format!("{} / {}", booked.input, booked.output)
    });
    row("the provider's own count", &|pair| {
        let provider = findings.accounts[pair].provider;
        format!("{} / {}", provider.input, provider.output)
    });
    row("lost to SIGKILL", &|pair| {
        let account = &findings.accounts[pair];
        let lost = account.provider.micro_dollars.saturating_sub(account.booked.micro_dollars);
        let (lost, at_risk) = (dollars(lost), dollars(account.at_risk.micro_dollars));
        format!("{lost}; at most {at_risk} of {} calls could be", account.at_risk.answers)
    });
    row("booked by kind", &|pair| {
        let kinds: BTreeMap<_, _> = findings.accounts[pair].requests.iter().collect();
        kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
    });
    row("questions first asked while all was well", &|pair| findings.asked_once[pair].to_string());
    row("quiet times in which a store call failed all the same", &|pair| {
        format!("{} of {}", findings.unhealthy[pair], findings.quiet)
    });
    lines(
        out,
        "\nOf the questions that were first asked while all was well, each cost one call. Where a store call failed because the machine\n\
        was busy, questions of that time are not among them.\n\n",
    );
}

fn rate(out: &mut String, soak: &Soak) {
    let tally = soak.tally.lock().unwrap();
    lines(
        out,
        &format!(
            "## Rate\n\nOne client may ask {LIMIT} times in {} s at both instances together, and asks more often.\n\n\
        | | let through by the store | most of it in a window | let through by an instance alone |\n|---|--:|--:|--:|\n",
            WINDOW.as_secs()
        ),
    );
    for (pair, admissions) in soak.pairs.iter().zip(&tally.admissions) {
        let alone = admissions.iter().filter(|admission| admission.is_local).count();
        let most = limits::most(admissions);
        lines(out, &format!("| {} | {} | {most} | {alone} |\n", pair.name, admissions.len() - alone));
    }
    lines(out, "\n");
}

fn memory_of(out: &mut String, soak: &Soak, findings: &Findings) {
    let samples = soak.samples.lock().unwrap();
    lines(
        out,
        "## Memory\n\nWhile nothing is under way; `CACHE_MEMORY_MB=1`, full from the beginning. Instances that are killed and restarted\n\
        begin anew with every round.\n\n\
        | after | store | instance | resident | open descriptors | own cache | its Redis |\n|--:|---|---|--:|--:|--:|--:|\n",
    );
    for sample in samples.iter() {
        let after = sample.at.duration_since(findings.begun).as_secs();
        let instance = if sample.place == REPLACED { "replaced" } else { "stays" };
        let resident = sample.resident / MEBIBYTE;
        lines(
            out,
            &format!(
                "| {after} s | {} | {instance} | {resident:.1} MiB | {} | {:.0} % | {:.1} MiB |\n",
                soak.pairs[sample.pair].name,
                sample.open_files,
                sample.full,
                sample.stored / MEBIBYTE
            ),
        );
    }
    lines(out, "\n");
    for (at, pair) in soak.pairs.iter().enumerate() {
        let of: Vec<_> = samples.iter().filter(|sample| sample.pair == at && sample.place != REPLACED).collect();
        let (Some(first), Some(last)) = (of.first(), of.last()) else { continue };
        let change = (last.resident / first.resident - 1.0) * 100.0;
        let slope = memory::slope(&samples, at) / MEBIBYTE;
        let over = if of.len() > 2 { format!("; {slope:+.2} MiB an hour by least squares") } else { String::new() };
        lines(out, &format!("- {}, the instance that stays: {change:+.1} % from first to last{over}.\n", pair.name));
    }
}

fn dollars(micro_dollars: u64) -> String {
    format!("${}.{:06}", micro_dollars / 1_000_000, micro_dollars % 1_000_000)
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn lines(out: &mut String, text: &str) {
    out.write_str(text).unwrap();
}

/// For the log of whoever waits.
pub(super) fn progress(what: &str, since: Duration) {
    eprintln!("soak: {:>5} s: {what}", since.as_secs());
}
