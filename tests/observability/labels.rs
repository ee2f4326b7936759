//! Infers the labels of a PromQL expression's result by PromQL's own rules, from what the operator exposes. Reports what does not exist.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{T_EQL_REGEX, T_LAND, T_LOR, T_LUNLESS};
use promql_parser::parser::{AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector};

/// Names of labels.
pub type Labels = BTreeSet<String>;

/// What Prometheus adds to every scrape: the first two always, the others through a ServiceMonitor or a PodMonitor. None of the operator's own labels may have
/// such a name: Prometheus would rename it, and every query would miss it.
pub const OF_THE_SCRAPE: [&str; 7] = ["job", "instance", "namespace", "pod", "container", "service", "endpoint"];

/// Those of them that a query may use. The others do not exist with every way to scrape, or do not mean what they seem to: `endpoint` is the name of a port.
const TO_BE_USED: [&str; 3] = ["job", "instance", "namespace"];

/// Functions that make sense only for counters.
const OF_COUNTERS: [&str; 4] = ["rate", "irate", "increase", "resets"];

/// What a query can refer to.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The labels of each sample, without those of the scrape.
    pub samples: BTreeMap<String, Labels>,
    /// The samples that only grow.
    pub counters: BTreeSet<String>,
    /// The possible values of a label, where the code defines them: by label, or by metric and label.
    pub values: BTreeMap<String, Vec<String>>,
}

impl Known {
    /// The possible values of a label of a metric, if known.
    pub fn values_of(&self, metric: &str, label: &str) -> Option<&Vec<String>> {
        self.values.get(&format!("{metric} {label}")).or_else(|| self.values.get(label))
    }
}

/// The labels of the result (none for a number), and all faults found on the way.
pub fn infer(text: &str, known: &Known) -> (Option<Labels>, Vec<String>) {
    match promql_parser::parser::parse(text) {
        Ok(expression) => {
            let mut walk = Walk { known, wrong: Vec::new() };
            let labels = walk.of(&expression);
            (labels, walk.wrong)
        }
        Err(error) => (None, vec![format!("is no PromQL: {error}")]),
    }
}

struct Walk<'a> {
    known: &'a Known,
    wrong: Vec<String>,
}

impl Walk<'_> {
    fn of(&mut self, expression: &Expr) -> Option<Labels> {
        match expression {
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Unary(unary) => self.of(&unary.expr),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Paren(paren) => self.of(&paren.expr),
            Expr::Subquery(subquery) => self.of(&subquery.expr),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => None,
            Expr::VectorSelector(selector) => Some(self.selector(selector)),
            Expr::MatrixSelector(selector) => Some(self.selector(&selector.vs)),
            Expr::Call(call) => self.call(call),
            Expr::Extension(_) => {
                self.wrong.push("is no plain PromQL".into());
                None
            }
        }
    }

    /// Reports the labels that are missing from the others.
    fn all_in<'l>(&mut self, labels: impl IntoIterator<Item = &'l String>, there: &Labels, what: &str) {
        for label in labels {
            if !there.contains(label) {
                self.wrong.push(format!("{what}: there is no label {label}, only {}", there.iter().cloned().collect::<Vec<_>>().join(", ")));
            }
        }
    }

    fn selector(&mut self, selector: &VectorSelector) -> Labels {
        let name = selector.name.clone().unwrap_or_default();
        let mut labels: Labels = TO_BE_USED.map(str::to_owned).into();
        match self.known.samples.get(&name) {
            Some(own) => labels.extend(own.iter().cloned()),
            None if name == "up" => {}
            None => self.wrong.push(format!("there is no metric {name:?}")),
        }
        for matcher in selector.matchers.matchers.iter().chain(selector.matchers.or_matchers.iter().flatten()) {
            self.all_in([&matcher.name], &labels, &name);
            self.values(&name, matcher);
        }
        labels
    }

    /// An impossible value matches nothing, or with `!=` everything: neither is meant.
    fn values(&mut self, metric: &str, matcher: &Matcher) {
        let Some(values) = self.known.values_of(metric, &matcher.name) else { return };
        // Each part of a|b separately: a misspelt one would hide behind the others.
        let parts: Vec<&str> = match matcher.op {
            MatchOp::Re(_) | MatchOp::NotRe(_) => matcher.value.split('|').collect(),
            MatchOp::Equal | MatchOp::NotEqual => vec![&matcher.value],
        };
        for part in parts {
            let occurs = match &matcher.op {
                MatchOp::Equal | MatchOp::NotEqual => values.iter().any(|value| value == part),
                MatchOp::Re(_) | MatchOp::NotRe(_) => match Matcher::new_matcher(T_EQL_REGEX, matcher.name.clone(), part.to_owned()) {
                    Ok(alone) => values.iter().any(|value| alone.is_match(value)),
                    Err(_) => false,
                },
            };
            if !occurs {
                self.wrong.push(format!("{metric}: the label {} is never {part:?}, only {}", matcher.name, values.join(", ")));
            }
        }
    }

    fn aggregate(&mut self, aggregate: &AggregateExpr) -> Option<Labels> {
        let inner = self.of(&aggregate.expr)?;
        let what = aggregate.op.to_string();
        let chooses = ["topk", "bottomk", "limitk"].contains(&what.as_str());
        match &aggregate.modifier {
            Some(modifier) => {
                self.all_in(&modifier.labels().labels, &inner, &what);
                let named: Labels = modifier.labels().labels.iter().cloned().collect();
                Some(match modifier {
                    _ if chooses => inner,
                    LabelModifier::Include(_) => named,
                    LabelModifier::Exclude(_) => inner.difference(&named).cloned().collect(),
                })
            }
            None if chooses => Some(inner),
            None => Some(Labels::new()),
        }
    }

    fn binary(&mut self, binary: &BinaryExpr) -> Option<Labels> {
        let (left, right) = (self.of(&binary.lhs), self.of(&binary.rhs));
        let (left, right) = match (left, right) {
            (Some(left), Some(right)) => (left, right),
            (only, None) | (None, only) => return only,
        };
        let operator = binary.op.to_string();
        let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
        let card = binary.modifier.as_ref().map_or(&VectorMatchCardinality::OneToOne, |modifier| &modifier.card);
        let named: Labels = matching.iter().flat_map(|matching| matching.labels().labels.iter().cloned()).collect();
        let without = |labels: &Labels| -> Labels { labels.difference(&named).cloned().collect() };
        let on = matches!(matching, Some(LabelModifier::Include(_)));
        if on {
            self.all_in(&named, &left, &format!("left of {operator}"));
            self.all_in(&named, &right, &format!("right of {operator}"));
        } else if binary.op.id() != T_LOR && without(&left) != without(&right) {
            self.wrong.push(format!("{operator}: {:?} and {:?} never match", without(&left), without(&right)));
        }
        let id = binary.op.id();
        if id == T_LAND || id == T_LUNLESS {
            return Some(left);
        }
        if id == T_LOR {
            // A label is certain only when both sides have it.
            return Some(left.intersection(&right).cloned().collect());
        }
        let (many, one, brought) = match card {
            VectorMatchCardinality::ManyToOne(brought) => (&left, &right, brought),
            VectorMatchCardinality::OneToMany(brought) => (&right, &left, brought),
            _ => return Some(if on { named } else { without(&left) }),
        };
        self.all_in(&brought.labels, one, &format!("what {operator} brings"));
        Some(many.iter().chain(&brought.labels).cloned().collect())
    }

    fn call(&mut self, call: &Call) -> Option<Labels> {
        let name = call.func.name;
        let arguments: Vec<Option<Labels>> = call.args.args.iter().map(|argument| self.of(argument)).collect();
        let vector = arguments.iter().flatten().next().cloned();
        if OF_COUNTERS.contains(&name) {
            self.grows(name, call);
        }
        match name {
            "time" | "pi" | "scalar" => None,
            "vector" => Some(Labels::new()),
            "absent" | "absent_over_time" => Some(call.args.args.first().map(|argument| stated(argument)).unwrap_or_default()),
            "histogram_quantile" => {
                let mut labels = vector?;
                self.all_in([&"le".to_owned()], &labels, name);
                labels.remove("le");
                Some(labels)
            }
            "label_replace" | "label_join" => {
                self.wrong.push(format!("{name} is not understood by this test; teach it first"));
                vector
            }
            _ => vector,
        }
    }

    fn grows(&mut self, function: &str, call: &Call) {
        let selected = call.args.args.iter().find_map(|argument| match argument.as_ref() {
            Expr::MatrixSelector(selector) => selector.vs.name.clone(),
            _ => None,
        });
        if let Some(name) = selected.filter(|name| self.known.samples.contains_key(name) && !self.known.counters.contains(name)) {
            self.wrong.push(format!("{function} of {name}, which is no counter"));
        }
    }
}

/// The labels that `absent` can return: those that its selector fixes.
fn stated(argument: &Expr) -> Labels {
    let Expr::VectorSelector(selector) = argument else { return Labels::new() };
    selector.matchers.matchers.iter().filter(|matcher| matcher.op == MatchOp::Equal).map(|matcher| matcher.name.clone()).collect()
}
