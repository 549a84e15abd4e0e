//! What chance decides: one source of randomness for a run, by one seed.

use fastrand::Rng;
use tokio_postgres::Client;

/// Where the seed is given; without it each run has another one.
pub(crate) const SEED_VARIABLE: &str = "BEMI_SEED";

/// Draws at random, and always the same for the same seed.
pub(crate) struct Draw {
    rng: Rng,
    /// How large values may be.
    pub(crate) room: Room,
    /// The server's `server_version_num`: later ones take values that earlier ones do not.
    pub(crate) version: i32,
    /// Whether the server was built with libxml.
    pub(crate) has_xml: bool,
}

/// How large a value may be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    /// As what fits into a page of an index.
    Key,
    /// A part of a value, of which there are many.
    Part,
    /// As large as can be.
    Column,
}

/// The run's seed: that of the environment, or a new one. It is printed: cargo shows it where a test fails.
pub(crate) fn seed() -> u64 {
    let seed = match std::env::var(SEED_VARIABLE) {
        Ok(seed) => seed.parse().expect("BEMI_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    eprintln!("{SEED_VARIABLE}={seed}");
    seed
}

impl Draw {
    /// Draws for the server of `client`.
    pub(crate) async fn new(seed: u64, client: &Client) -> Self {
        let version: String =
            client.query_one("SHOW server_version_num", &[]).await.unwrap().get(0);
        let has_xml = client.batch_execute("SELECT '<a/>'::xml").await.is_ok();
        if !has_xml {
            eprintln!("left out values of type xml: this server was built without them");
        }
        Self {
            rng: Rng::with_seed(seed),
            room: Room::Column,
            version: version.parse().unwrap(),
            has_xml,
        }
    }

    /// `true` one time in `count`.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// `true` every now and then, where there is room for something large.
    pub(crate) fn is_large(&mut self) -> bool {
        match self.room {
            Room::Key => false,
            Room::Part => self.one_in(20_000),
            Room::Column => self.one_in(60),
        }
    }

    /// A number from 0 up to, and without, `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.rng.usize(..end)
    }

    /// A number from `first` to `last`.
    pub(crate) fn between(&mut self, first: i64, last: i64) -> i64 {
        self.rng.i64(first..=last)
    }

    /// One of several, all as likely.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A number with as many bits as chance will: small ones are as likely as large ones.
    pub(crate) fn bits(&mut self) -> u64 {
        self.rng.u64(..) >> self.below(64)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.rng.fill(&mut bytes);
        bytes
    }

    /// Decimal digits, the first of which is not 0.
    pub(crate) fn digits(&mut self, count: usize) -> String {
        let digit = |at: usize, rng: &mut Rng| char::from(rng.u8(u8::from(at == 0)..10) + b'0');
        (0..count).map(|at| digit(at, &mut self.rng)).collect()
    }

    /// In another order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        self.rng.shuffle(list);
    }

    /// Between none and `most` of what `one` draws.
    pub(crate) fn several<T>(
        &mut self,
        most: usize,
        mut one: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| one(self)).collect()
    }

    /// Any character that the server takes: not `\0`.
    pub(crate) fn character(&mut self) -> char {
        match self.below(8) {
            0 | 1 => char::from(self.rng.u8(b' '..=b'~')),
            2 => char::from(*self.pick(b"\"'\\{}(),;=|<>[]:/%$& NUL")),
            3 => char::from(self.rng.u8(1..0x20)),
            // Combining marks, separators, byte order marks, what is no character, and the ends of the planes.
            4 => *self.pick(&[
                '\u{7f}',
                '\u{80}',
                '\u{85}',
                '\u{a0}',
                '\u{301}',
                '\u{200d}',
                '\u{202e}',
                '\u{2028}',
                '\u{2029}',
                '\u{d7ff}',
                '\u{e000}',
                '\u{feff}',
                '\u{fdd0}',
                '\u{fffd}',
                '\u{fffe}',
                '\u{ffff}',
                '\u{10000}',
                '\u{1f600}',
                '\u{1d11e}',
                '\u{1ffff}',
                '\u{10ffff}',
            ]),
            5 => self.rng.char('\u{80}'..='\u{7ff}'),
            _ => self.rng.char('\u{1}'..),
        }
    }

    /// A text of any length that there is room for.
    pub(crate) fn text(&mut self) -> String {
        let words = [
            "",
            "",
            " ",
            "NULL",
            "null",
            "Null",
            "{}",
            "()",
            "[]",
            "\\N",
            "\\.",
            "\\x00",
            "\\u0000",
            "'",
            "''",
            "\"",
            "\"\"",
            "\\",
            "\\\\",
            "/",
            "true",
            "0",
            "a",
            "it's",
            "<a>&amp;</a>",
            "$1",
            "$$",
            "--",
            "/* */",
            "/*Bemi {} Bemi*/",
            "{\"a\":1}",
            "[0:1]={a,b}",
            "empty",
            "infinity",
            "NaN",
            "e\u{301}",
            "\r\n",
            "\t",
        ];
        if self.one_in(4) {
            return (*self.pick(&words)).to_owned();
        }
        let length = match self.below(40) {
            _ if self.room == Room::Key => self.below(20),
            // What is stored out of line, compressed or not.
            0 if self.room == Room::Column => self.below(20_000),
            0..10 => self.below(200),
            _ => self.below(20),
        };
        match self.below(4) {
            0 => (0..length).map(|_| char::from(self.rng.u8(b'a'..=b'z'))).collect(),
            _ => (0..length).map(|_| self.character()).collect(),
        }
    }

    /// A word of ASCII letters and digits.
    pub(crate) fn word(&mut self) -> String {
        (0..=self.below(8)).map(|_| self.rng.alphanumeric()).collect()
    }

    /// A name for a column, a type, a label: one to 63 bytes of anything.
    pub(crate) fn name(&mut self) -> String {
        let mut name = String::new();
        let length = if self.one_in(5) { 63 } else { 1 + self.below(20) };
        while name.len() < length {
            name.push(if self.one_in(2) { self.rng.alphabetic() } else { self.character() });
        }
        while name.len() > 63 {
            name.pop();
        }
        if name.is_empty() { "x".to_owned() } else { name }
    }
}
