//! Expressions over the columns of a table: conditions to filter by, columns that are made of others.
//!
//! ```
//! use slackwater_loaders::table::{Expr, col};
//! let young = col("age").lt(30) & col("city").eq("Rome");
//! assert_eq!(young, Expr::parse("age < 30 and city = 'Rome'")?);
//! # Ok::<(), slackwater_dataflow::Error>(())
//! ```
//!
//! # Meaning
//!
//! That of SQL: `null` goes through arithmetic and comparisons; `and` and `or` know three values; a filter keeps rows
//! for which its condition is true, not those for which it is null. Numbers of two types are compared and added as
//! the wider one; a literal takes the type of the column beside it, so that text is compared with dates as a date. `/` divides
//! as real numbers, also whole ones. Whole numbers that become too large are an error.
//!
//! # Cost
//!
//! A pass of Arrow's kernels over a batch for each operation.

pub(crate) mod eval;
mod parse;
mod prune;

pub(crate) use eval::no_column;
pub use prune::{ColumnBounds, Stretches};

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, new_null_array};
use arrow_schema::DataType;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Rem, Sub};
use std::sync::Arc;

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text; beside a date or a time, one of these.
    Text(String),
}

impl Value {
    /// An array of the value alone.
    pub(crate) fn array(&self) -> ArrayRef {
        match self {
            Value::Null => new_null_array(&DataType::Null, 1),
            Value::Boolean(b) => Arc::new(BooleanArray::from(vec![*b])),
            Value::Int(i) => Arc::new(Int64Array::from(vec![*i])),
            Value::Float(x) => Arc::new(Float64Array::from(vec![*x])),
            Value::Text(s) => Arc::new(StringArray::from(vec![s.as_str()])),
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $as:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from(x: $from) -> Value {
                $as(x)
            }
        })*
    };
}
value_from! {
    bool => Value::Boolean,
    i64 => Value::Int,
    i32 => |x| Value::Int(i64::from(x)),
    u32 => |x| Value::Int(i64::from(x)),
    f64 => Value::Float,
    &str => |x: &str| Value::Text(x.to_string()),
    String => Value::Text,
}

/// What is done to one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// `not x`
    Not,
    /// `-x`
    Neg,
    /// `x is null`
    IsNull,
    /// `x is not null`
    IsNotNull,
    /// `abs(x)`
    Abs,
    /// `ln(x)`
    Ln,
    /// `ln(1 + x)`, exact for small x
    Ln1p,
    /// `exp(x)`
    Exp,
    /// `sqrt(x)`
    Sqrt,
    /// `floor(x)`
    Floor,
}

impl Unary {
    /// Those that are written as functions of numbers, with their names.
    const FUNCTIONS: [(&'static str, Unary); 6] = [
        ("abs", Unary::Abs),
        ("ln", Unary::Ln),
        ("ln1p", Unary::Ln1p),
        ("exp", Unary::Exp),
        ("sqrt", Unary::Sqrt),
        ("floor", Unary::Floor),
    ];
}

/// What is done to two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// `x or y`
    Or,
    /// `x and y`
    And,
    /// `x = y`
    Eq,
    /// `x != y`
    NotEq,
    /// `x < y`
    Lt,
    /// `x <= y`
    LtEq,
    /// `x > y`
    Gt,
    /// `x >= y`
    GtEq,
    /// `x + y`
    Add,
    /// `x - y`
    Sub,
    /// `x * y`
    Mul,
    /// `x / y`
    Div,
    /// `x % y`
    Rem,
}

impl Binary {
    fn symbol(self) -> &'static str {
        match self {
            Binary::Or => "or",
            Binary::And => "and",
            Binary::Eq => "=",
            Binary::NotEq => "!=",
            Binary::Lt => "<",
            Binary::LtEq => "<=",
            Binary::Gt => ">",
            Binary::GtEq => ">=",
            Binary::Add => "+",
            Binary::Sub => "-",
            Binary::Mul => "*",
            Binary::Div => "/",
            Binary::Rem => "%",
        }
    }
}

/// An expression. See the [module](self).
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// The column of this name.
    Column(String),
    /// A constant.
    Literal(Value),
    /// An operation on one value.
    Unary(Unary, Box<Expr>),
    /// An operation on two.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `x in (..)`
    In(Box<Expr>, Vec<Value>),
    /// `x like 'a%'`: `%` stands for any text, `_` for any character.
    Like(Box<Expr>, String),
}

/// The column called `name`.
pub fn col(name: impl Into<String>) -> Expr {
    Expr::Column(name.into())
}

/// A constant.
pub fn lit(value: impl Into<Value>) -> Expr {
    Expr::Literal(value.into())
}

impl<V: Into<Value>> From<V> for Expr {
    fn from(value: V) -> Expr {
        Expr::Literal(value.into())
    }
}

macro_rules! comparisons {
    ($($name:ident $op:ident $doc:literal),*) => {
        $(#[doc = $doc]
        pub fn $name(self, other: impl Into<Expr>) -> Expr {
            Expr::binary(Binary::$op, self, other.into())
        })*
    };
}

impl Expr {
    comparisons! {
        eq Eq "`self = other`", not_eq NotEq "`self != other`", lt Lt "`self < other`", lt_eq LtEq "`self <= other`",
        gt Gt "`self > other`", gt_eq GtEq "`self >= other`"
    }
    fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
        Expr::Binary(op, Box::new(a), Box::new(b))
    }
    fn unary(op: Unary, a: Expr) -> Expr {
        Expr::Unary(op, Box::new(a))
    }
    /// True where there is no value.
    pub fn is_null(self) -> Expr {
        Expr::unary(Unary::IsNull, self)
    }
    /// True where there is a value.
    pub fn is_not_null(self) -> Expr {
        Expr::unary(Unary::IsNotNull, self)
    }
    /// A function of one number.
    pub fn apply(self, f: Unary) -> Expr {
        Expr::unary(f, self)
    }
    /// True where the value is one of `values`.
    pub fn is_in<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Expr {
        Expr::In(Box::new(self), values.into_iter().map(Into::into).collect())
    }
    /// True where the text matches: `%` is any text, `_` any character.
    pub fn like(self, pattern: impl Into<String>) -> Expr {
        Expr::Like(Box::new(self), pattern.into())
    }
    /// The names of all columns in it.
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.visit(&mut |e| {
            if let Expr::Column(name) = e {
                names.insert(name.as_str());
            }
        });
        names
    }
    fn visit<'a>(&'a self, f: &mut impl FnMut(&'a Expr)) {
        f(self);
        match self {
            Expr::Column(_) | Expr::Literal(_) => {}
            Expr::Unary(_, a) | Expr::In(a, _) | Expr::Like(a, _) => a.visit(f),
            Expr::Binary(_, a, b) => {
                a.visit(f);
                b.visit(f);
            }
        }
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident),*) => {
        $(impl<E: Into<Expr>> $trait<E> for Expr {
            type Output = Expr;
            fn $method(self, other: E) -> Expr {
                Expr::binary(Binary::$op, self, other.into())
            }
        })*
    };
}
operators! { Add add Add, Sub sub Sub, Mul mul Mul, Div div Div, Rem rem Rem, BitAnd bitand And, BitOr bitor Or }

impl Not for Expr {
    type Output = Expr;
    fn not(self) -> Expr {
        Expr::unary(Unary::Not, self)
    }
}

impl Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        Expr::unary(Unary::Neg, self)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Boolean(b) => write!(f, "{b}"),
            Value::Int(i) => write!(f, "{i}"),
            Value::Float(x) => write!(f, "{x:?}"),
            Value::Text(s) => write!(f, "'{}'", s.replace('\'', "''")),
        }
    }
}

/// As [`Expr::parse`] reads it, with brackets around all that is inside of something.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Column(name) if parse::is_plain_name(name) => f.write_str(name),
            Expr::Column(name) => write!(f, "\"{}\"", name.replace('"', "\"\"")),
            Expr::Literal(value) => write!(f, "{value}"),
            Expr::Unary(Unary::Not, a) => write!(f, "not {}", Inner(a)),
            // With brackets, since a sign right before a number is part of it.
            Expr::Unary(Unary::Neg, a) if matches!(**a, Expr::Literal(_)) => write!(f, "-({a})"),
            Expr::Unary(Unary::Neg, a) => write!(f, "-{}", Inner(a)),
            Expr::Unary(Unary::IsNull, a) => write!(f, "{} is null", Inner(a)),
            Expr::Unary(Unary::IsNotNull, a) => write!(f, "{} is not null", Inner(a)),
            Expr::Unary(op, a) => {
                let name = Unary::FUNCTIONS.iter().find(|(_, u)| u == op).map_or("", |(name, _)| name);
                write!(f, "{name}({a})")
            }
            Expr::Binary(op, a, b) => write!(f, "{} {} {}", Inner(a), op.symbol(), Inner(b)),
            Expr::In(a, values) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                write!(f, "{} in ({})", Inner(a), values.join(", "))
            }
            Expr::Like(a, pattern) => write!(f, "{} like {}", Inner(a), Value::Text(pattern.clone())),
        }
    }
}

/// An expression inside another.
struct Inner<'a>(&'a Expr);

impl fmt::Display for Inner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // A number with a sign would become part of what is before it.
            Expr::Literal(Value::Int(i)) if *i < 0 => write!(f, "({i})"),
            Expr::Literal(Value::Float(x)) if x.is_sign_negative() => write!(f, "({x:?})"),
            e @ (Expr::Column(_) | Expr::Literal(_)) => write!(f, "{e}"),
            e => write!(f, "({e})"),
        }
    }
}
