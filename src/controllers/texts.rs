//! Texts of others, made fit for messages and names.

/// How many characters of the API server's message are quoted.
const SENTENCE: usize = 400;

/// How much of a company's name is read. Less of it goes into any name.
const LETTERS: usize = 200;

/// The API server's sentence, cut, without a full stop.
pub fn sentence(text: &str) -> String {
    let cut: String = text.chars().take(SENTENCE).collect();
    cut.trim_end_matches('.').to_owned()
}

/// A name in ASCII, by sound where there is no such letter.
pub fn ascii(name: &str) -> String {
    let beginning: String = name.chars().take(LETTERS).collect();
    deunicode::deunicode_with_tofu(&beginning, " ")
}
