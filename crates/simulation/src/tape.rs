//! The source of every choice: a tape of numbers made from one seed. The same tape is the same story. A tape
//! with fewer and smaller numbers is a simpler story, and that is how a failing story is shrunk. Zero always
//! means the calm choice.

/// A reader of a tape. Past the end every number is zero.
#[derive(Debug)]
pub struct Tape<'a> {
    numbers: &'a [u8],
    at: usize,
}

impl<'a> Tape<'a> {
    /// Returns a reader at the beginning of a tape.
    pub fn new(numbers: &'a [u8]) -> Self {
        Self { numbers, at: 0 }
    }

    /// Returns the next number.
    pub fn draw(&mut self) -> usize {
        let number = self.numbers.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(number)
    }

    /// Whether the tape is at its end.
    pub fn over(&self) -> bool {
        self.at >= self.numbers.len()
    }

    /// Draws one of several choices; the first is the calm one.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.draw() % choices.len()]
    }
}

/// A generator of numbers (SplitMix64). It only has to give the same numbers for the same seed on every
/// machine.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// Returns the generator for a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit.max(1)
    }
}

/// How many numbers choose the setup. All of them are drawn, so that a strange world is as likely as a plain
/// one.
const SETUP: usize = 48;

/// Returns the tape of a seed: first the setup, then the story, which is calm most of the time.
pub fn tape(seed: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let byte = |numbers: &mut Numbers| u8::try_from(numbers.below(256)).unwrap_or(0);
    let length = numbers.below(110) + 10;
    let calm = 50 + numbers.below(45);
    let mut tape: Vec<u8> = (0..SETUP).map(|_| byte(&mut numbers)).collect();
    for _ in 0..length {
        if numbers.below(100) < calm {
            tape.push(0);
        } else {
            tape.push(byte(&mut numbers).max(1));
            tape.push(byte(&mut numbers));
        }
    }
    tape
}
