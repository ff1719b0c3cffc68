//! The expressions of Go's template language that step's X.509 templates are made of, and no others.
//!
//! `{{ … }}` holds one pipeline: a field (`.Subject`, `.Subject.CommonName`, `.SANs`), a text (`"…"` or in backquotes),
//! a function with its arguments (`toJson`, `asn1Enc`, `asn1Seq`, `asn1Set`), another pipeline in parentheses; `|`
//! gives what is before it to the function after it, as the last argument. There is no `if`, no `range`, no variable.

use kmskit::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::asn1;

/// What a template can refer to.
#[derive(Debug)]
pub(crate) struct Data<'a> {
    pub(crate) common_name: Option<&'a str>,
}

/// Puts the values of its expressions into a template.
pub(crate) fn render(template: &str, data: &Data<'_>) -> Result<String> {
    let mut output = String::new();
    let mut rest = template;
    let mut trim = false;
    while let Some(start) = rest.find("{{") {
        let (text, expression) = (&rest[..start], &rest[start + 2..]);
        let line = template[..template.len() - expression.len()].lines().count();
        let fault = |error: Error| error.in_context(format!("template expression in line {line}"));
        let end = end(expression).ok_or_else(|| fault(bad("no `}}` at its end")))?;
        let (inner, after) = (&expression[..end], &expression[end + 2..]);
        // `{{- ` and ` -}}` take away the white space on their side.
        let text = if trim { text.trim_start() } else { text };
        output.push_str(if inner.starts_with("- ") { text.trim_end() } else { text });
        trim = inner.ends_with(" -");
        let inner = inner.strip_prefix("- ").unwrap_or(inner);
        let inner = inner.strip_suffix(" -").unwrap_or(inner);
        let inner = inner.trim();
        if !(inner.starts_with("/*") && inner.ends_with("*/")) {
            output.push_str(&evaluate(inner, data).and_then(Item::into_text).map_err(fault)?);
        }
        rest = after;
    }
    output.push_str(if trim { rest.trim_start() } else { rest });
    Ok(output)
}

/// Where the `}}` is; those in texts do not count.
fn end(expression: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (index, c) in expression.char_indices() {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '`') => quote = Some(c),
            None if expression[index..].starts_with("}}") => return Some(index),
            _ => {}
        }
    }
    None
}

/// What an expression comes to.
enum Item {
    /// A value, not yet text.
    Value(Value),
    /// JSON, to stand in the template as it is.
    Json(String),
}

impl Item {
    fn into_text(self) -> Result<String> {
        match self {
            Self::Json(text) => Ok(text),
            Self::Value(Value::String(text)) => {
                // As it would stand within quotes: it must not end them.
                if json!(text).to_string().len() == text.len() + 2 {
                    return Ok(text);
                }
                Err(bad("a text with characters that JSON writes in another way")
                    .with_hint("use `… | toJson`, without quotes"))
            }
            Self::Value(_) => Err(bad("a value that is no text").with_hint("use `… | toJson`")),
        }
    }

    fn into_string(self, function: &str) -> Result<String> {
        match self {
            Self::Value(Value::String(text)) => Ok(text),
            _ => Err(bad(format!("`{function}` takes texts"))),
        }
    }
}

fn evaluate(expression: &str, data: &Data<'_>) -> Result<Item> {
    let mut parser = Parser { rest: expression, data };
    let item = parser.pipeline()?;
    parser.skip_space();
    if parser.rest.is_empty() { Ok(item) } else { Err(parser.unknown()) }
}

struct Parser<'t> {
    rest: &'t str,
    data: &'t Data<'t>,
}

impl<'t> Parser<'t> {
    fn pipeline(&mut self) -> Result<Item> {
        let mut item = self.command(None)?;
        loop {
            self.skip_space();
            let Some(rest) = self.rest.strip_prefix('|') else { return Ok(item) };
            self.rest = rest;
            item = self.command(Some(item))?;
        }
    }

    /// A function with its arguments, of which `piped` is the last; or a single operand.
    fn command(&mut self, piped: Option<Item>) -> Result<Item> {
        self.skip_space();
        let name = self.word();
        if name.is_empty() {
            return if piped.is_some() { Err(bad("`|` without a function after it")) } else { self.operand() };
        }
        let mut arguments = Vec::new();
        loop {
            self.skip_space();
            if matches!(self.rest.chars().next(), None | Some('|' | ')')) {
                break;
            }
            arguments.push(self.operand()?);
        }
        arguments.extend(piped);
        call(name, arguments)
    }

    fn operand(&mut self) -> Result<Item> {
        self.skip_space();
        match self.rest.chars().next() {
            Some('(') => {
                self.rest = &self.rest[1..];
                let item = self.pipeline()?;
                self.skip_space();
                self.rest = self.rest.strip_prefix(')').ok_or_else(|| bad("a `(` without `)`"))?;
                Ok(item)
            }
            Some('.') => {
                let end = self.rest.find(|c: char| !(c == '.' || is_word(c))).unwrap_or(self.rest.len());
                let (path, rest) = self.rest.split_at(end);
                self.rest = rest;
                self.data.field(path)
            }
            Some('"') => {
                // Go's texts and JSON's have the escapes in common that anybody uses.
                let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
                let text = values.next().and_then(Result::ok).ok_or_else(|| bad("a text that cannot be read"))?;
                self.rest = &self.rest[values.byte_offset()..];
                Ok(Item::Value(text.into()))
            }
            Some('`') => {
                let (text, rest) = self.rest[1..].split_once('`').ok_or_else(|| bad("a text without end"))?;
                self.rest = rest;
                Ok(Item::Value(text.into()))
            }
            _ => Err(self.unknown()),
        }
    }

    fn word(&mut self) -> &'t str {
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn unknown(&self) -> Error {
        bad(format!("`{}` is not understood", self.rest)).with_hint(KNOWN)
    }
}

const KNOWN: &str = "known: `.Subject`, `.Subject.CommonName`, `.SANs`, texts, `toJson`, `asn1Enc`, `asn1Seq`, \
                     `asn1Set`, parentheses and `|`";

impl Data<'_> {
    fn field(&self, path: &str) -> Result<Item> {
        let value = match (path, self.common_name) {
            (".Subject", Some(name)) => json!({ "commonName": name }),
            (".Subject", None) => json!({}),
            (".Subject.CommonName", name) => name.unwrap_or_default().into(),
            (".SANs", _) => json!([]),
            _ => return Err(bad(format!("there is no `{path}`")).with_hint(KNOWN)),
        };
        Ok(Item::Value(value))
    }
}

fn call(name: &str, arguments: Vec<Item>) -> Result<Item> {
    let count = arguments.len();
    let mut arguments = arguments.into_iter();
    let base64 = match (name, count) {
        ("toJson", 1) => {
            return match arguments.next() {
                Some(Item::Value(value)) => Ok(Item::Json(value.to_string())),
                _ => Err(bad("`toJson` of what is JSON already")),
            };
        }
        ("asn1Enc", 1) => {
            let text = arguments.next().map_or_else(|| Ok(String::new()), |text| text.into_string(name))?;
            asn1::encode(&text)?
        }
        ("asn1Seq" | "asn1Set", 1..) => {
            let parts = arguments.map(|part| part.into_string(name)).collect::<Result<Vec<_>>>()?;
            if name == "asn1Seq" { asn1::sequence(&parts)? } else { asn1::set(&parts)? }
        }
        ("toJson" | "asn1Enc" | "asn1Seq" | "asn1Set", _) => {
            return Err(bad(format!("`{name}` does not take {count} arguments")));
        }
        _ => return Err(bad(format!("there is no function `{name}` here")).with_hint(KNOWN)),
    };
    Ok(Item::Value(base64.into()))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn bad(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str) -> Result<String> {
        render(template, &Data { common_name: Some("https://ca.example") })
    }

    #[test]
    fn expressions_of_step_are_evaluated() {
        for (template, text) in [
            ("plain", "plain"),
            (r#""{{ .Subject.CommonName }}""#, r#""https://ca.example""#),
            ("{{.Subject.CommonName|toJson}}", r#""https://ca.example""#),
            ("{{ toJson .Subject }}", r#"{"commonName":"https://ca.example"}"#),
            ("{{ .SANs | toJson }}", "[]"),
            (r#"{{ toJson "}} \"é\"" }}"#, r#""}} \"é\"""#),
            ("{{ toJson `a\\b` }}", r#""a\\b""#),
            ("a  {{- /* none */ -}}  b", "ab"),
            // 30 0a 06 08 2b 06 01 05 05 07 03 08
            (r#"{{ asn1Seq (asn1Enc "oid:1.3.6.1.5.5.7.3.8") | toJson }}"#, r#""MAoGCCsGAQUFBwMI""#),
            (r#"{{ asn1Enc "utf8:é" }}"#, "DALDqQ=="),
            (r#"{{ asn1Enc "int:-129" }}"#, "AgL/fw=="),
            (r#"{{ asn1Enc "bool:true" }}"#, "AQH/"),
            (r#"{{ "hello" | asn1Enc }}"#, "EwVoZWxsbw=="),
            (r#"{{ asn1Set (asn1Enc "int:2") (asn1Enc "int:1") }}"#, "MQYCAQECAQI="),
        ] {
            assert_eq!(rendered(template).unwrap_or_else(|error| panic!("{template}: {error}")), text, "{template}");
        }
    }

    #[test]
    fn whatever_else_is_refused() {
        for (template, says) in [
            ("\n\n{{ .Subject.Nickname }}", "line 3: there is no `.Subject.Nickname`"),
            ("{{ .Insecure.CR.Subject }}", "there is no `.Insecure.CR.Subject`"),
            ("{{ if .SANs }}x{{ end }}", "no function `if`"),
            ("{{ range .SANs }}{{ end }}", "no function `range`"),
            ("{{ $x := 1 }}", "`$x := 1` is not understood"),
            ("{{ .Subject.CommonName", "no `}}`"),
            ("{{ .Subject }}", "no text"),
            ("{{ }}", "not understood"),
            ("{{ toJson }}", "does not take 0 arguments"),
            ("{{ toJson .SANs .SANs }}", "does not take 2 arguments"),
            ("{{ toJson (toJson .SANs) }}", "JSON already"),
            ("{{ .SANs | }}", "without a function"),
            ("{{ (toJson .SANs }}", "without `)`"),
            (r#"{{ toJson "a }}"#, "no `}}`"),
            (r#"{{ asn1Enc "oid:1.3.x" }}"#, "oid"),
            (r#"{{ asn1Enc "blob:1" }}"#, "blob"),
            (r#"{{ asn1Seq "!" }}"#, "base64"),
        ] {
            let error = rendered(template).unwrap_err();
            assert!(error.to_string().contains(says), "{template}: {error}");
        }
    }

    #[test]
    fn a_common_name_cannot_write_json() {
        let template = r#"{"subject": {"commonName": "{{ .Subject.CommonName }}"}}"#;
        for name in [r#"x"}, "basicConstraints": {"isCA": true"#, "a\\", "a\nb"] {
            let data = Data { common_name: Some(name) };
            assert!(render(template, &data).unwrap_err().to_string().contains("toJson"), "{name}");
            let text =
                render(&template.replace(r#""{{ .Subject.CommonName }}""#, "{{ toJson .Subject.CommonName }}"), &data);
            let value: Value = serde_json::from_str(&text.unwrap()).unwrap();
            assert_eq!(value["subject"]["commonName"], name);
        }
    }
}
