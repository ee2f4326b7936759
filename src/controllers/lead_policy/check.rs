//! What an expression may be, judged from its syntax tree before it is ever evaluated: the names in it are
//! known, its result has the right type, and it costs little for any lead.
//!
//! The library has no limit for an evaluation, so the cost is bounded beforehand, as the API server does it
//! for the rules of a schema: every list or map of a lead counts as [`LEAD`], and a loop costs its body for
//! each entry.

use cel::common::ast::{
    ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue, operators,
};
use regex::RegexBuilder;

/// What an expression must return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// True or false.
    Truth,
    /// A text.
    Text,
}

impl Returns {
    /// The type in CEL's words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truth => "bool",
            Self::Text => "string",
        }
    }
}

/// What is wrong with an expression, and the part of its text that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionFault {
    /// What is wrong, and what to do.
    pub message: String,
    /// The part of the text.
    pub part: Option<String>,
}

impl ExpressionFault {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            part: None,
        }
    }

    fn at(part: &str, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            part: Some(part.to_owned()),
        }
    }
}

/// The variable.
pub const VARIABLE: &str = "lead";

/// The fields of the variable.
const FIELDS: [&str; 3] = ["metadata", "spec", "status"];

/// The functions that an expression may call, besides the operators and the macros has, all, exists,
/// exists_one, map and filter.
pub const FUNCTIONS: [&str; 9] = [
    "contains",
    "double",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "uint",
];

const OPERATORS: [&str; 18] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
];

/// The result of these is true or false.
const TRUTHS: [&str; 15] = [
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::IN,
    operators::NOT_STRICTLY_FALSE,
    "contains",
    "endsWith",
    "matches",
    "startsWith",
];

/// How large a value can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Its entries, if it is a list or a map.
    pub entries: u64,
    /// The entries of the largest list or map within it.
    pub inner: u64,
    /// The bytes of all of it.
    pub bytes: u64,
}

/// The largest lead that is looked at. A larger one is refused.
pub const LEAD: Size = Size {
    entries: 300,
    inner: 300,
    bytes: 32 * 1024,
};

/// The size of a number or a truth.
const SCALAR: Size = Size::of(8);

/// The largest value that an expression may build.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// The most steps of an expression for one lead. A step is one operation, or looking through 16 KiB.
pub const MOST_STEPS: u64 = 100_000;

const BYTES_A_STEP: u64 = 16 * 1024;

/// The steps of `matches`, which compiles its pattern each time.
const STEPS_OF_A_PATTERN: u64 = 200;

/// The largest compiled pattern, in bytes.
const LARGEST_PATTERN: usize = 128 * 1024;

impl Size {
    /// A value without entries.
    const fn of(bytes: u64) -> Self {
        Self {
            entries: 0,
            inner: 0,
            bytes,
        }
    }

    /// Two values put together.
    fn with(self, other: Self) -> Self {
        Self {
            entries: self.entries.saturating_add(other.entries),
            inner: self.inner.max(other.inner),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// One value or the other.
    fn or(self, other: Self) -> Self {
        Self {
            entries: self.entries.max(other.entries),
            inner: self.inner.max(other.inner),
            bytes: self.bytes.max(other.bytes),
        }
    }

    fn times(self, count: u64) -> Self {
        Self {
            entries: self.entries.saturating_mul(count),
            inner: self.inner,
            bytes: self.bytes.saturating_mul(count),
        }
    }

    /// A list or map of so many values; `parts` is their sum.
    fn list(count: usize, parts: Self) -> Self {
        Self {
            entries: count as u64,
            inner: parts.entries.max(parts.inner),
            bytes: parts.bytes,
        }
    }

    /// Something in it.
    fn part(self) -> Self {
        Self {
            entries: self.inner,
            ..self
        }
    }

    /// One of its entries, of the average size: all steps of a loop together handle no more than the whole.
    fn share(self) -> Self {
        Self {
            bytes: (self.bytes / self.entries.max(1)).max(SCALAR.bytes),
            ..self.part()
        }
    }
}

/// Checks an expression.
///
/// # Errors
/// What is wrong with it.
pub fn check(expression: &IdedExpr, wanted: Returns) -> Result<(), ExpressionFault> {
    let mut walk = Walk::default();
    walk.size(expression)?;
    if walk.steps > MOST_STEPS {
        return Err(ExpressionFault::new(format!(
            "it can take too many steps for one lead: about {}, and {MOST_STEPS} are allowed. A list or map of a lead counts as {} entries, and a loop within a loop multiplies them",
            walk.steps, LEAD.entries
        )));
    }
    if walk.largest > MOST_BYTES {
        return Err(ExpressionFault::new(format!(
            "it can build a value of more than {} MiB for one lead",
            MOST_BYTES / (1024 * 1024)
        )));
    }
    match returns(expression) {
        Some(known) if known != wanted.as_str() => Err(ExpressionFault::new(format!(
            "it returns a value of type {known}, and must return a {}",
            wanted.as_str()
        ))),
        _ => Ok(()),
    }
}

/// The type of what an expression returns, where its outermost operation tells.
fn returns(expression: &IdedExpr) -> Option<&'static str> {
    match &expression.expr {
        Expr::Literal(literal) => Some(match literal {
            LiteralValue::Boolean(_) => "bool",
            LiteralValue::Bytes(_) => "bytes",
            LiteralValue::Double(_) => "double",
            LiteralValue::Int(_) => "int",
            LiteralValue::Null => "null",
            LiteralValue::String(_) => "string",
            LiteralValue::UInt(_) => "uint",
        }),
        Expr::List(_) => Some("list"),
        Expr::Map(_) => Some("map"),
        Expr::Select(select) if select.test => Some("bool"),
        Expr::Comprehension(comprehension) => match &comprehension.result.expr {
            Expr::Ident(_) => returns(&comprehension.accu_init),
            _ => returns(&comprehension.result),
        },
        Expr::Call(call) => match call.func_name.as_str() {
            name if TRUTHS.contains(&name) => Some("bool"),
            "string" => Some("string"),
            "size" | "int" => Some("int"),
            "double" => Some("double"),
            "uint" => Some("uint"),
            operators::CONDITIONAL => {
                let (one, other) = (returns(call.args.get(1)?)?, returns(call.args.get(2)?)?);
                (one == other).then_some(one)
            }
            operators::ADD => call.args.iter().find_map(returns),
            _ => None,
        },
        _ => None,
    }
}

#[derive(Default)]
struct Walk {
    steps: u64,
    /// The bytes of the largest value that is built, over all steps of the loops in it.
    largest: u64,
    /// The variables of the loops around, the innermost last.
    scope: Vec<(String, Size)>,
}

impl Walk {
    /// Counts the steps of an expression and returns how large its value can be.
    fn size(&mut self, expression: &IdedExpr) -> Result<Size, ExpressionFault> {
        self.steps = self.steps.saturating_add(1);
        let size = match &expression.expr {
            Expr::Unspecified => SCALAR,
            Expr::Literal(LiteralValue::String(text)) => Size::of(text.inner().len() as u64),
            Expr::Literal(LiteralValue::Bytes(bytes)) => Size::of(bytes.inner().len() as u64),
            Expr::Literal(_) => SCALAR,
            Expr::Ident(name) => self.variable(name)?,
            Expr::Select(select) => {
                if matches!(&select.operand.expr, Expr::Ident(name) if name == VARIABLE && self.scoped(name).is_none())
                    && !FIELDS.contains(&select.field.as_str())
                {
                    return Err(ExpressionFault::at(
                        &select.field,
                        format!(
                            "lead has no field {}; it has metadata, spec and status",
                            select.field
                        ),
                    ));
                }
                self.size(&select.operand)?.part()
            }
            Expr::List(list) => Size::list(list.elements.len(), self.all(&list.elements)?),
            Expr::Map(map) => Size::list(map.entries.len(), self.entries(&map.entries)?),
            Expr::Struct(made) => {
                return Err(ExpressionFault::at(
                    &made.type_name,
                    format!("there is no type {}", made.type_name),
                ));
            }
            Expr::Call(call) => self.function(&call.func_name, call.target.as_deref(), &call.args)?,
            Expr::Comprehension(comprehension) => self.comprehension(comprehension)?,
        };
        let builds = match &expression.expr {
            Expr::List(_) | Expr::Map(_) => true,
            Expr::Call(call) => [operators::ADD, "string"].contains(&call.func_name.as_str()),
            _ => false,
        };
        if builds {
            self.largest = self.largest.max(size.bytes);
        }
        Ok(size)
    }

    /// What a loop costs: its body for each entry.
    fn comprehension(&mut self, of: &ComprehensionExpr) -> Result<Size, ExpressionFault> {
        let range = self.size(&of.iter_range)?;
        let start = self.size(&of.accu_init)?;
        let (steps, largest) = (std::mem::take(&mut self.steps), std::mem::take(&mut self.largest));
        let outside = self.scope.len();
        self.scope.push((of.iter_var.clone(), range.share()));
        let second = of.iter_var2.clone();
        self.scope.extend(second.map(|name| (name, range.share())));
        self.scope.push((of.accu_var.clone(), Size::default()));
        let accumulator = self.scope.len() - 1;
        self.size(&of.loop_cond)?;
        let step = self.size(&of.loop_step)?;
        let count = range.entries.max(1);
        self.steps = steps.saturating_add(self.steps.saturating_mul(count));
        let grown = start.with(step.times(range.entries));
        self.largest = largest.max(self.largest.saturating_mul(count)).max(grown.bytes);
        if let Some(result) = self.scope.get_mut(accumulator) {
            result.1 = grown;
        }
        let result = self.size(&of.result)?;
        self.scope.truncate(outside);
        Ok(result)
    }

    fn scoped(&self, name: &str) -> Option<Size> {
        let known = self.scope.iter().rev().find(|(known, _)| known == name);
        known.map(|(_, size)| *size)
    }

    fn variable(&self, name: &str) -> Result<Size, ExpressionFault> {
        match self.scoped(name) {
            Some(size) => Ok(size),
            None if name == VARIABLE => Ok(LEAD),
            None => Err(ExpressionFault::at(
                name,
                format!("there is no variable {name}; the variable is lead, with metadata, spec and status"),
            )),
        }
    }

    fn all<'a>(&mut self, parts: impl IntoIterator<Item = &'a IdedExpr>) -> Result<Size, ExpressionFault> {
        let mut all = Size::default();
        for part in parts {
            let size = self.size(part)?;
            all = Size {
                bytes: all.bytes.saturating_add(size.bytes),
                ..all.or(size)
            };
        }
        Ok(all)
    }

    fn entries(&mut self, entries: &[IdedEntryExpr]) -> Result<Size, ExpressionFault> {
        let parts = entries.iter().flat_map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => [Some(&entry.key), Some(&entry.value)],
            EntryExpr::StructField(field) => [None, Some(&field.value)],
        });
        self.all(parts.flatten())
    }

    fn function(
        &mut self,
        name: &str,
        target: Option<&IdedExpr>,
        args: &[IdedExpr],
    ) -> Result<Size, ExpressionFault> {
        let known =
            FUNCTIONS.contains(&name) || OPERATORS.contains(&name) || name == operators::NOT_STRICTLY_FALSE;
        if !known {
            return Err(ExpressionFault::at(
                name,
                format!("there is no function {name}; see docs/lead-policies.md for those that there are"),
            ));
        }
        if name == "matches" {
            pattern(args.last())?;
            self.steps = self.steps.saturating_add(STEPS_OF_A_PATTERN);
        }
        let mut sizes = Vec::with_capacity(args.len() + 1);
        for part in target.into_iter().chain(args) {
            sizes.push(self.size(part)?);
        }
        let sum = sizes.iter().fold(Size::default(), |sum, size| sum.with(*size));
        self.steps = self.steps.saturating_add(sum.bytes / BYTES_A_STEP);
        Ok(match name {
            operators::ADD | "string" => sum,
            operators::IN => {
                self.steps = self.steps.saturating_add(sum.entries);
                SCALAR
            }
            operators::CONDITIONAL => sizes
                .iter()
                .skip(1)
                .fold(Size::default(), |one, other| one.or(*other)),
            operators::INDEX => sizes.first().map_or(SCALAR, |size| size.part()),
            _ => SCALAR,
        })
    }
}

/// Checks the pattern of `matches`: it is compiled for each lead, so it must be small, and known beforehand.
fn pattern(argument: Option<&IdedExpr>) -> Result<(), ExpressionFault> {
    let Some(Expr::Literal(LiteralValue::String(pattern))) = argument.map(|argument| &argument.expr) else {
        return Err(ExpressionFault::at(
            "matches",
            "matches takes a pattern in quotes",
        ));
    };
    let built = RegexBuilder::new(pattern.inner())
        .size_limit(LARGEST_PATTERN)
        .build();
    match built {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => Err(ExpressionFault::at(
            "matches",
            "the pattern of matches is too large; repeat less in it",
        )),
        Err(_) => Err(ExpressionFault::at(
            "matches",
            "the pattern of matches is no regular expression (in the syntax of RE2)",
        )),
    }
}
