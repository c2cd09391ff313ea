//! Expressions from text.
//!
//! ```text
//! or       = and { "or" and }            and = not { "and" not }         not = "not" not | comparison
//! compared = sum [ op sum | "is" ["not"] "null" | ["not"] "in" "(" value { "," value } ")" | ["not"] "like" text ]
//! sum      = product { ("+" | "-") product }      product = sign { ("*" | "/" | "%") sign }     sign = "-" sign | atom
//! atom     = number | text | "true" | "false" | "null" | name | function "(" or ")" | "(" or ")"
//! op       = "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">="
//! name     = letters, digits, "_" and "." | '"' anything '"'          text = "'" anything "'"  (quotes inside are doubled)
//! ```

use super::{Binary, Expr, Unary, Value};
use slackwater_dataflow::{Error, Result};

/// How deep expressions may be nested: what reads them is recursive.
const DEPTH_MAX: usize = 100;
/// How many operations may stand one after the other (`a or b or c`): each is inside of the next.
const CHAIN_MAX: usize = 2000;

const WORDS: [&str; 9] = ["and", "or", "not", "is", "null", "in", "like", "true", "false"];

/// True for names that need no quotes.
pub(super) fn is_plain_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(is_name_byte)
        && !WORDS.contains(&name.to_ascii_lowercase().as_str())
        && !Unary::FUNCTIONS.iter().any(|(f, _)| f.eq_ignore_ascii_case(name))
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Number(Value),
    Text(String),
    Symbol(&'static str),
    End,
}

const SYMBOLS: [&str; 16] =
    ["<=", ">=", "!=", "<>", "==", "<", ">", "=", "+", "-", "*", "/", "%", "(", ")", ","];

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
    /// Operations of `or`, `and`, sums and products so far.
    chained: usize,
}

impl Expr {
    /// The expression that `text` is. See the [module's](self) grammar; words in any case.
    ///
    /// # Errors
    /// Usage, with the place in the text.
    pub fn parse(text: &str) -> Result<Expr> {
        let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0, chained: 0 };
        let expr = parser.or()?;
        match parser.peek() {
            Token::End => Ok(expr),
            _ => Err(parser.unexpected("an operation, or the end")),
        }
    }
}

fn fault(text: &str, at: usize, message: &str) -> Error {
    let line = text.replace(['\n', '\r', '\t'], " ");
    let column = text[..at].chars().count();
    Error::usage(format!("in the expression: {message}\n  | {line}\n  | {}^", " ".repeat(column)))
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>> {
    let bytes = text.as_bytes();
    let (mut tokens, mut at) = (vec![], 0);
    while at < bytes.len() {
        let start = at;
        let token = match bytes[at] {
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            quote @ (b'"' | b'\'') => {
                let mut inside = String::new();
                loop {
                    let rest = &text[at + 1..];
                    let Some(end) = rest.find(char::from(quote)) else {
                        return Err(fault(text, start, "a quote that has no end"));
                    };
                    inside += &rest[..end];
                    at += end + 2;
                    if bytes.get(at) != Some(&quote) {
                        break;
                    }
                    inside.push(char::from(quote));
                }
                if quote == b'"' { Token::Quoted(inside) } else { Token::Text(inside) }
            }
            b if b.is_ascii_digit() || (b == b'.' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)) => {
                let exponent =
                    |i: usize| matches!(bytes[i], b'+' | b'-') && matches!(bytes[i - 1], b'e' | b'E');
                while at < bytes.len() && (is_name_byte(bytes[at]) || (at > start && exponent(at))) {
                    at += 1;
                }
                let number = &text[start..at];
                let value = match (number.parse::<i64>(), number.parse::<f64>()) {
                    (Ok(i), _) => Value::Int(i),
                    (_, Ok(x)) if x.is_finite() => Value::Float(x),
                    _ => return Err(fault(text, start, "this is not a number")),
                };
                Token::Number(value)
            }
            b if b.is_ascii_alphabetic() || b == b'_' => {
                while at < bytes.len() && is_name_byte(bytes[at]) {
                    at += 1;
                }
                Token::Word(text[start..at].to_string())
            }
            _ => match SYMBOLS.iter().find(|s| text[at..].starts_with(**s)) {
                Some(symbol) => {
                    at += symbol.len();
                    Token::Symbol(symbol)
                }
                None => {
                    return Err(fault(text, start, "names with other signs are written in double quotes"));
                }
            },
        };
        tokens.push((start, token));
    }
    tokens.push((text.len(), Token::End));
    Ok(tokens)
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].1
    }
    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }
    fn word(&mut self, word: &str) -> bool {
        let is = matches!(self.peek(), Token::Word(w) if w.eq_ignore_ascii_case(word));
        self.at += usize::from(is);
        is
    }
    fn symbol(&mut self, symbol: &str) -> bool {
        let is = matches!(self.peek(), Token::Symbol(s) if *s == symbol);
        self.at += usize::from(is);
        is
    }
    fn unexpected(&self, wanted: &str) -> Error {
        let (at, token) = &self.tokens[self.at];
        let what = match token {
            Token::End => "it ends here; there should be".to_string(),
            _ => "this should be".to_string(),
        };
        fault(self.text, *at, &format!("{what} {wanted}"))
    }
    fn expect(&mut self, symbol: &str) -> Result<()> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }
    fn deeper(&mut self, parse: impl FnOnce(&mut Self) -> Result<Expr>) -> Result<Expr> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(fault(self.text, self.tokens[self.at].0, "it is nested too deep"));
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn longer(&mut self) -> Result<()> {
        self.chained += 1;
        match self.chained {
            0..=CHAIN_MAX => Ok(()),
            _ => Err(fault(self.text, self.tokens[self.at].0, "it has too many operations")),
        }
    }

    fn or(&mut self) -> Result<Expr> {
        let mut e = self.and()?;
        while self.word("or") {
            self.longer()?;
            e = e | self.and()?;
        }
        Ok(e)
    }
    fn and(&mut self) -> Result<Expr> {
        let mut e = self.not()?;
        while self.word("and") {
            self.longer()?;
            e = e & self.not()?;
        }
        Ok(e)
    }
    fn not(&mut self) -> Result<Expr> {
        if self.word("not") {
            return Ok(!self.deeper(Self::not)?);
        }
        self.compared()
    }
    fn compared(&mut self) -> Result<Expr> {
        let e = self.sum()?;
        let ops = [
            ("=", Binary::Eq),
            ("==", Binary::Eq),
            ("!=", Binary::NotEq),
            ("<>", Binary::NotEq),
            ("<=", Binary::LtEq),
            (">=", Binary::GtEq),
            ("<", Binary::Lt),
            (">", Binary::Gt),
        ];
        for (symbol, op) in ops {
            if self.symbol(symbol) {
                return Ok(Expr::binary(op, e, self.sum()?));
            }
        }
        if self.word("is") {
            let not = self.word("not");
            return match (self.word("null"), not) {
                (true, false) => Ok(e.is_null()),
                (true, true) => Ok(e.is_not_null()),
                _ => Err(self.unexpected("`null`")),
            };
        }
        let start = self.at;
        let not = self.word("not");
        let e = if self.word("in") {
            self.expect("(")?;
            let mut values = vec![self.value()?];
            while self.symbol(",") {
                values.push(self.value()?);
            }
            self.expect(")")?;
            Expr::In(Box::new(e), values)
        } else if self.word("like") {
            match self.next() {
                Token::Text(pattern) => e.like(pattern),
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected("a text, as in 'a%'"));
                }
            }
        } else {
            self.at = start;
            return Ok(e);
        };
        Ok(if not { !e } else { e })
    }
    fn value(&mut self) -> Result<Value> {
        match self.sign()? {
            Expr::Literal(value) => Ok(value),
            _ => Err(self.unexpected("a constant before this")),
        }
    }
    fn sum(&mut self) -> Result<Expr> {
        let mut e = self.product()?;
        loop {
            // One after the other: in `a + -b` there are both.
            e = if self.symbol("+") {
                e + self.product()?
            } else if self.symbol("-") {
                e - self.product()?
            } else {
                return Ok(e);
            };
            self.longer()?;
        }
    }
    fn product(&mut self) -> Result<Expr> {
        let mut e = self.sign()?;
        loop {
            e = if self.symbol("*") {
                e * self.sign()?
            } else if self.symbol("/") {
                e / self.sign()?
            } else if self.symbol("%") {
                e % self.sign()?
            } else {
                return Ok(e);
            };
            self.longer()?;
        }
    }
    fn sign(&mut self) -> Result<Expr> {
        if !self.symbol("-") {
            return self.atom();
        }
        Ok(match (self.deeper(Self::sign)?, &self.tokens[self.at - 1].1) {
            // A sign right before a number is part of it.
            (Expr::Literal(Value::Int(i)), Token::Number(_)) => lit_int(i),
            (Expr::Literal(Value::Float(x)), Token::Number(_)) => Expr::Literal(Value::Float(-x)),
            (e, _) => -e,
        })
    }
    fn atom(&mut self) -> Result<Expr> {
        let wanted = "a name, a number, a 'text' or `(`";
        match self.next() {
            Token::Number(value) => Ok(Expr::Literal(value)),
            Token::Text(text) => Ok(Expr::Literal(Value::Text(text))),
            Token::Quoted(name) => Ok(Expr::Column(name)),
            Token::Symbol("(") => {
                let e = self.deeper(Self::or)?;
                self.expect(")")?;
                Ok(e)
            }
            Token::Word(word) => {
                let lower = word.to_ascii_lowercase();
                match lower.as_str() {
                    "true" => return Ok(Expr::Literal(Value::Boolean(true))),
                    "false" => return Ok(Expr::Literal(Value::Boolean(false))),
                    "null" => return Ok(Expr::Literal(Value::Null)),
                    _ => {}
                }
                if let Some((_, function)) = Unary::FUNCTIONS.iter().find(|(name, _)| *name == lower) {
                    self.expect("(")?;
                    let e = self.deeper(Self::or)?;
                    self.expect(")")?;
                    return Ok(e.apply(*function));
                }
                if WORDS.contains(&lower.as_str()) {
                    self.at -= 1;
                    return Err(self.unexpected(wanted));
                }
                Ok(Expr::Column(word))
            }
            Token::End => Err(self.unexpected(wanted)),
            Token::Symbol(_) => {
                self.at -= 1;
                Err(self.unexpected(wanted))
            }
        }
    }
}

fn lit_int(i: i64) -> Expr {
    Expr::Literal(Value::Int(-i))
}

#[cfg(test)]
mod tests {
    use super::super::{col, lit};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_understood() {
        for (text, want) in [
            ("a < 30 AND city = 'Rome'", col("a").lt(30) & col("city").eq("Rome")),
            ("a + 2 * -b >= .5e1", (col("a") + lit(2) * -col("b")).gt_eq(5.0)),
            ("not a is null or b in (1, -2)", !col("a").is_null() | col("b").is_in([1, -2])),
            ("\"a b\" not like 'x''%'", !col("a b").like("x'%")),
            ("ln(x) - 1 - 2", col("x").apply(Unary::Ln) - 1 - 2),
            // A sign after an operation is not lost, whatever the operation.
            ("a + -b", col("a") + -col("b")),
            ("a - -b - -1", col("a") - -col("b") - -1),
            ("a * -b / -2 % -c", col("a") * -col("b") / -2 % -col("c")),
            ("(a or b) and true", (col("a") | col("b")) & lit(true)),
        ] {
            assert_eq!(Expr::parse(text).unwrap(), want, "{text}");
        }
    }

    /// What is made of a chain is as deep as the chain is long, and everything that reads it is recursive.
    #[test]
    fn chains_that_are_too_long_are_refused() {
        for op in ["+", "-", "*", "and", "or"] {
            let chain = |n: usize| format!("a{}", format!(" {op} a").repeat(n));
            let e = Expr::parse(&chain(CHAIN_MAX)).unwrap();
            assert!(e.to_string().len() > CHAIN_MAX && e.clone() == e);
            let refused = Expr::parse(&chain(100_000)).unwrap_err().to_string();
            assert!(refused.contains("too many operations"), "{}", &refused[..80]);
        }
    }

    #[test]
    fn what_is_wrong_is_shown() {
        for (text, column, part) in [
            ("a <", 3, "it ends here"),
            ("a = 'x", 4, "no end"),
            ("a ß", 2, "double quotes"),
            ("1x", 0, "not a number"),
            ("a b", 2, "an operation"),
            ("a in (b)", 7, "a constant"),
            ("a like b", 7, "a text"),
            ("and", 0, "a name"),
        ] {
            let e = Expr::parse(text).unwrap_err();
            let shown = e.to_string();
            assert!(
                shown.contains(part) && shown.ends_with(&format!("\n  | {}^", " ".repeat(column))),
                "{shown}"
            );
            assert_eq!(e.exit_code(), 2);
        }
        assert!(Expr::parse(&"(".repeat(10_000)).unwrap_err().to_string().contains("too deep"));
        assert!(Expr::parse(&"not ".repeat(10_000)).is_err());
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Boolean),
            (-i64::MAX..i64::MAX).prop_map(Value::Int),
            prop::num::f64::NORMAL.prop_map(Value::Float),
            ".*".prop_map(Value::Text),
        ]
    }

    fn expr() -> impl Strategy<Value = Expr> {
        let leaf = prop_oneof![".+".prop_map(Expr::Column), value().prop_map(Expr::Literal)];
        leaf.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                (0..9usize, inner.clone()).prop_map(|(op, a)| {
                    let all = Unary::FUNCTIONS.map(|(_, f)| f);
                    let op = *all.get(op).unwrap_or(
                        [Unary::Not, Unary::IsNull, Unary::IsNotNull]
                            .get(op.wrapping_sub(6))
                            .unwrap_or(&Unary::Not),
                    );
                    Expr::unary(op, a)
                }),
                (0..13usize, inner.clone(), inner.clone()).prop_map(|(op, a, b)| {
                    use Binary::*;
                    let op = [Or, And, Eq, NotEq, Lt, LtEq, Gt, GtEq, Add, Sub, Mul, Div, Rem][op];
                    Expr::binary(op, a, b)
                }),
                (inner.clone(), prop::collection::vec(value(), 1..4))
                    .prop_map(|(a, v)| Expr::In(Box::new(a), v)),
                (inner, ".*").prop_map(|(a, p)| a.like(p)),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_displayed_is_read_back(e in expr()) {
            prop_assert_eq!(Expr::parse(&e.to_string()).unwrap(), e);
        }
        #[test]
        fn any_text_has_an_answer(text in ".{0,80}", words in prop::collection::vec("[a-c()'\",<>= +*-]|not|in|like|is|null|1e", 0..30)) {
            let _ = Expr::parse(&text);
            let _ = Expr::parse(&words.join(" "));
        }
    }
}
