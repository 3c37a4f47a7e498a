//! The crowd of clients: a steady rate of mixed requests, each in a task of its own.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    Soak, chaos,
    exchange::{Asking, Form, Manner, Who},
    kinds::{Kind, TURNS},
    pair::LIMIT,
};

/// How often a second someone asks, at all four instances together.
const RATE: u32 = 44;
/// How many questions are asked again and again. They are few, so that the limited client asks often enough.
const REPEATED: u64 = LIMIT as u64;
/// How many are asked seldom: one each second, so that each of them comes again when its answer has been stale for some seconds.
const SELDOM: u64 = 50;
/// How many answers of some 6 KB fill the memory of an instance twice over.
const FILLING: u64 = 350;
/// How many clients fill it at once.
const FILLERS: usize = 8;

/// Asks until the soak is over, but for the times when it pauses.
pub(super) async fn drive(soak: Arc<Soak>) {
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    // A machine that was busy owes nobody a burst.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if soak.is_over.load(Ordering::SeqCst) {
            return;
        }
        if !soak.is_pausing.load(Ordering::SeqCst) {
            let number = soak.turns.fetch_add(1, Ordering::SeqCst);
            soak.asking.spawn(turn(Arc::clone(&soak), number));
        }
    }
}

/// Asks so many fresh questions that the memory of those that stay is full, and what is asked seldom for the first time.
pub(super) async fn fill(soak: &Arc<Soak>) {
    let asked = (0..FILLING).flat_map(|number| (0..2).map(move |pair| (number, pair)));
    let asking = stream::iter(asked).map(|(number, pair)| async move {
        let (kind, question) = match number.checked_sub(FILLING - SELDOM) {
            None => (Kind::Json, format!("filling {number}?")),
            Some(seldom) => (Kind::Seldom, format!("seldom {seldom}?")),
        };
        let form = Form::Generate { streaming: false };
        let asking = Asking { place: 1 - chaos::REPLACED, form, question, manner: Manner::Reads, who: Who::Web };
        ask(soak, pair, kind, asking).await;
    });
    asking.buffer_unordered(FILLERS).collect::<()>().await;
}

async fn turn(soak: Arc<Soak>, number: u64) {
    let (pair, round) = ((number % 2) as usize, number / 2);
    let kind = TURNS[(round % TURNS.len() as u64) as usize];
    // Each kind comes to each place in turn.
    let place = ((round + round / TURNS.len() as u64) % 2) as usize;
    let again = round % REPEATED;
    let fresh = |form, manner| Asking { place, form, question: format!("{number}?"), manner, who: Who::Web };
    let repeated = |form, who| Asking { place, form, question: format!("again {again}?"), manner: Manner::Reads, who };
    let streaming = round % 3 == 0;
    let asking = match kind {
        Kind::Json => fresh(Form::Generate { streaming: false }, Manner::Reads),
        Kind::Stream => fresh(Form::Generate { streaming: true }, Manner::Reads),
        Kind::ChatJson => fresh(Form::Chat { streaming: false }, Manner::Reads),
        Kind::ChatStream => fresh(Form::Chat { streaming: true }, Manner::Reads),
        Kind::Embedding => fresh(Form::Embed, Manner::Reads),
        Kind::Leaving => fresh(Form::Generate { streaming: place == 0 }, Manner::Leaves),
        Kind::Slow => fresh(Form::Generate { streaming: true }, Manner::Slowly),
        Kind::Bad => fresh(Form::Nonsense(round / TURNS.len() as u64 % 3), Manner::Reads),
        Kind::Repeated if round % 2 == 0 => repeated(Form::Chat { streaming }, Who::Web),
        Kind::Repeated | Kind::Recalled => repeated(Form::Generate { streaming }, Who::Web),
        Kind::Seldom => {
            let question = format!("seldom {}?", round / TURNS.len() as u64 % SELDOM);
            Asking { question, ..fresh(Form::Generate { streaming }, Manner::Reads) }
        }
        Kind::Limited => repeated(Form::Generate { streaming: false }, Who::Slim),
        Kind::Session => {
            let Some(id) = soak.pairs[pair].session.lock().unwrap().clone() else { return };
            repeated(Form::Generate { streaming: false }, Who::Session(id))
        }
        Kind::Together => {
            let there = Asking { place: 1 - place, ..fresh(Form::Generate { streaming: true }, Manner::Reads) };
            let here = fresh(Form::Generate { streaming: false }, Manner::Reads);
            tokio::join!(ask(&soak, pair, kind, here), ask(&soak, pair, kind, there));
            return;
        }
    };
    ask(&soak, pair, kind, asking).await;
}

/// Asks, and takes down what came of it.
pub(super) async fn ask(soak: &Soak, pair: usize, kind: Kind, asking: Asking) {
    let key = soak.pairs[pair].key(asking.place);
    soak.tally.lock().unwrap().begins(pair, kind, &asking);
    let seen = asking.ask(&soak.pairs[pair]).await;
    let phases = soak.timeline.between(seen.begun, seen.ended);
    soak.tally.lock().unwrap().ends(pair, soak.pairs[pair].name, kind, asking, &seen, &phases, key);
}
