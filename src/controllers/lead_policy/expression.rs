//! The CEL expressions of a policy: compiled once for each version of the policy, and evaluated for a lead.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::{Context, ExecutionError, Program, Value};
use kube::ResourceExt;
use serde_json::json;

use crate::controllers::lead_policy::check::{self, ExpressionFault, LEAD, Returns, VARIABLE};
use oc_api::{Lead, LeadPolicySpec};

/// How many characters of the parser's message are quoted.
const SENTENCE: usize = 200;

/// The lists of a lead's status that are left out when they are empty. For an expression they are empty lists.
const LISTS: [&str; 3] = ["countries", "otherLeads", "conditions"];

/// The stack for expressions. The library recurses once for each level of an expression, and a long one can
/// have a thousand levels; what is not used costs no memory.
const STACK: usize = 64 * 1024 * 1024;

/// One expression.
#[derive(Debug)]
struct Expression {
    /// The field, for messages.
    field: String,
    text: String,
    program: Program,
}

/// The expressions of one version of a policy.
#[derive(Debug)]
pub struct Expressions {
    conditions: Vec<Expression>,
    short_name: Expression,
    full_name: Expression,
}

/// What the expressions say about one lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluated {
    /// A condition is false.
    No,
    /// All conditions are true.
    Yes {
        /// The text for the short name.
        short_name: String,
        /// The text for the full name.
        full_name: String,
    },
    /// An expression fails for this lead; the message says which, why, and what to do.
    Failed(String),
}

/// Does work with expressions where it can recurse deeply, and without keeping the executor from other work.
///
/// # Errors
/// When the work panics, or no thread can be started.
pub async fn deeply<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("cel".into()).stack_size(STACK);
    let started = thread.spawn(move || {
        // Nobody waits when the run was ended.
        let _ = tell.send(work());
    });
    started.map_err(|error| format!("no thread could be started for expressions: {error}"))?;
    told.await
        .map_err(|_| "the expressions could not be evaluated; this is a bug".to_owned())
}

impl Expressions {
    /// Compiles the expressions of a policy. Call it by [`deeply`].
    ///
    /// # Errors
    /// Which expression is wrong, where, and why.
    pub fn compile(spec: &LeadPolicySpec) -> Result<Self, String> {
        let conditions = spec.match_conditions.iter().enumerate().map(|(at, condition)| {
            let field = format!("spec.matchConditions[{at}].expression ({})", condition.name);
            Expression::compile(field, &condition.expression, Returns::Truth)
        });
        let name =
            |field: &str, text: &str| Expression::compile(format!("spec.names.{field}"), text, Returns::Text);
        Ok(Self {
            conditions: conditions.collect::<Result<_, _>>()?,
            short_name: name("shortName", &spec.names.short_name)?,
            full_name: name("fullName", &spec.names.full_name)?,
        })
    }

    /// Evaluates the expressions for a lead. Call it by [`deeply`].
    pub fn evaluate(&self, lead: &Lead) -> Evaluated {
        let mut context = Context::default();
        match variable(lead) {
            Ok(lead) => context.add_variable_from_value(VARIABLE, lead),
            Err(why) => return Evaluated::Failed(why),
        }
        let evaluated = || {
            for condition in &self.conditions {
                if !condition.truth(&context)? {
                    return Ok(Evaluated::No);
                }
            }
            Ok(Evaluated::Yes {
                short_name: self.short_name.text(&context)?,
                full_name: self.full_name.text(&context)?,
            })
        };
        evaluated().unwrap_or_else(Evaluated::Failed)
    }
}

impl Expression {
    fn compile(field: String, text: &str, wanted: Returns) -> Result<Self, String> {
        // The parser has asserts of its own.
        let parsed = catch_unwind(AssertUnwindSafe(|| Program::compile(text)));
        let wrong = |at: Option<(usize, usize)>, message: &str| {
            let at = at.map_or_else(String::new, |(line, column)| {
                format!(", line {line}, column {column}")
            });
            format!("{field}{at}: {message}.")
        };
        let program = match parsed {
            Ok(Ok(program)) => program,
            Ok(Err(errors)) => {
                let first = errors.errors.first();
                let at = first.and_then(|error| place(error.pos));
                let message = first.map_or("it can't be parsed", |error| error.msg.as_str());
                return Err(wrong(at, &sentence(message)));
            }
            Err(_) => return Err(wrong(None, "it can't be parsed")),
        };
        match check::check(program.expression(), wanted) {
            Ok(()) => Ok(Self {
                text: text.to_owned(),
                program,
                field,
            }),
            Err(ExpressionFault { message, part }) => {
                let at = part.and_then(|part| find(text, &part));
                Err(wrong(at, &message))
            }
        }
    }

    fn truth(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        match self.value(context)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(self.of_other_type(Returns::Truth, &other)),
        }
    }

    fn text(&self, context: &Context<'_, '_>) -> Result<String, String> {
        match self.value(context)? {
            Value::String(text) => Ok(text.to_string()),
            other => Err(self.of_other_type(Returns::Text, &other)),
        }
    }

    fn value(&self, context: &Context<'_, '_>) -> Result<Value, String> {
        let executed = catch_unwind(AssertUnwindSafe(|| self.program.execute(context)));
        match executed {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.fails(&self.words(&error))),
            Err(_) => Err(self.fails("it can't be evaluated")),
        }
    }

    fn of_other_type(&self, wanted: Returns, value: &Value) -> String {
        self.fails(&format!(
            "it returns a value of type {}, and must return a {}",
            value.type_of(),
            wanted.as_str()
        ))
    }

    fn fails(&self, why: &str) -> String {
        format!("{} fails for this lead: {why}.", self.field)
    }

    /// Why the evaluation failed. The library's own words may hold values of the lead, which belong in no
    /// message.
    fn words(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::NoSuchKey(key) if self.text.contains(key.as_str()) => {
                format!("the lead has no field {key} there; test it with has() first")
            }
            ExecutionError::NoSuchKey(_) => {
                "a map has no such key; test it with the operator in first".to_owned()
            }
            ExecutionError::IndexOutOfBounds(_) => {
                "a list has no such entry; test its size() first".to_owned()
            }
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                "it divides by zero".to_owned()
            }
            ExecutionError::Overflow(..) => "a number becomes too large".to_owned(),
            ExecutionError::FunctionError { function, .. } => {
                format!("the function {function} can't use its argument")
            }
            _ => "an operator or a function gets a value of a type that it does not take".to_owned(),
        }
    }
}

/// The variable for a lead.
///
/// # Errors
/// When the lead is larger than the bounds of [`check`] allow.
fn variable(lead: &Lead) -> Result<Value, String> {
    let unusable = |error: serde_json::Error| format!("The Lead object can't be read: {error}.");
    let mut status = serde_json::to_value(lead.status.clone().unwrap_or_default()).map_err(unusable)?;
    // A person's data must not get into the names of a service.
    if let Some(fields) = status.as_object_mut() {
        fields.remove("contact");
    }
    for list in LISTS {
        if status[list].is_null() {
            status[list] = json!([]);
        }
    }
    let none = BTreeMap::new();
    let variable = json!({
        "metadata": {
            "name": lead.name_any(),
            "namespace": lead.namespace(),
            "labels": lead.metadata.labels.as_ref().unwrap_or(&none),
            "annotations": lead.metadata.annotations.as_ref().unwrap_or(&none),
        },
        "spec": serde_json::to_value(&lead.spec).map_err(unusable)?,
        "status": status,
    });
    let (mut entries, mut bytes) = (0, 0);
    measure(&variable, &mut entries, &mut bytes);
    if entries > LEAD.entries || bytes > LEAD.bytes {
        return Err(format!(
            "The Lead object is too large for expressions: at most {} KiB, and {} labels or annotations. Remove some.",
            LEAD.bytes / 1024,
            LEAD.entries
        ));
    }
    Ok(value(variable))
}

/// The entries of the largest list or map, and the bytes of all of it.
fn measure(value: &serde_json::Value, entries: &mut u64, bytes: &mut u64) {
    match value {
        serde_json::Value::String(text) => *bytes += text.len() as u64,
        serde_json::Value::Array(all) => {
            *entries = (*entries).max(all.len() as u64);
            all.iter().for_each(|value| measure(value, entries, bytes));
        }
        serde_json::Value::Object(all) => {
            *entries = (*entries).max(all.len() as u64);
            for (key, value) in all {
                *bytes += key.len() as u64;
                measure(value, entries, bytes);
            }
        }
        _ => *bytes += 8,
    }
}

/// JSON as CEL: whole numbers are of type int, as they are in the rules of a schema.
fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::String(Arc::new(text)),
        serde_json::Value::Array(all) => Value::List(Arc::new(all.into_iter().map(value).collect())),
        serde_json::Value::Object(all) => {
            let all: HashMap<String, Value> = all
                .into_iter()
                // A field that is absent must not pass has().
                .filter(|(_, value)| !value.is_null())
                .map(|(key, json)| (key, value(json)))
                .collect();
            all.into()
        }
    }
}

fn place((line, column): (isize, isize)) -> Option<(usize, usize)> {
    let (line, column) = (usize::try_from(line).ok()?, usize::try_from(column).ok()?);
    (line > 0 && column > 0).then_some((line, column))
}

/// The line and column of a name in a text, which is not a part of a longer name.
fn find(text: &str, name: &str) -> Option<(usize, usize)> {
    let of_name = |c: char| c.is_alphanumeric() || c == '_';
    let (at, _) = text
        .match_indices(name)
        .find(|(at, _)| !text[..*at].ends_with(of_name) && !text[at + name.len()..].starts_with(of_name))?;
    let line = text[..at].matches('\n').count() + 1;
    let column = text[..at].rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some((line, column))
}

/// The parser's message, on one line and cut.
fn sentence(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let cut: String = words.join(" ").chars().take(SENTENCE).collect();
    cut.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
