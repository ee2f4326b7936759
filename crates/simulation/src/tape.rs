//! Where every choice comes from: a tape of numbers, made from one seed. The same tape is the same story; a tape with fewer and smaller
//! numbers is a simpler one, which is how a failing story is made short. Zero always means the calm choice.

/// A reader of a tape. Past its end everything is zero.
#[derive(Debug)]
pub struct Tape<'a> {
    numbers: &'a [u8],
    at: usize,
}

impl<'a> Tape<'a> {
    /// A reader at the beginning.
    pub fn new(numbers: &'a [u8]) -> Self {
        Self { numbers, at: 0 }
    }

    /// The next number.
    pub fn draw(&mut self) -> usize {
        let number = self.numbers.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(number)
    }

    /// Whether there is nothing on the tape any more.
    pub fn over(&self) -> bool {
        self.at >= self.numbers.len()
    }

    /// One of several; the first is the calm one.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.draw() % choices.len()]
    }
}

/// A generator of numbers (SplitMix64): the same for the same seed on every machine, which is all that is asked of it.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit.max(1)
    }
}

/// How many numbers choose the setup: they are all drawn, so that a world is as likely to be strange as plain.
const SETUP: usize = 48;

/// The tape of a seed: first the setup, then the story, which is calm most of the time.
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
