//! `[[route.write]]`: which record it writes, how long the record lives, and when it writes at all.
//!
//! [`crate::config::routes::bins`] and [`crate::config::routes::operations`] read what it does to the bins.
//! [`crate::config::routes::contradictions`] checks combinations of keys.

use toml::de::DeValue;

use crate::config::file::reader::{Node, Table};
use crate::config::keys;
use crate::config::model::{
    Action, BigNumbers, Constant, Each, Expr, InDoubt, Missing, Mode, Name, Newer, OnConflict, Source, Tombstone, Ttl,
    TtlOn, TtlPast, Typed, Write,
};
use crate::config::names;
use crate::config::routes::bins;
use crate::config::routes::contradictions::{self, Words};
use crate::config::routes::operations;
use crate::config::routes::ttl;
use crate::config::values::cel;
use crate::config::values::expressions::{self, Place};
use crate::config::values::grammar::{self, Scope};
use crate::config::values::type_names;

/// Reads the write at `table`. `namespace` and `tombstone` are the defaults.
/// `scope`: that of the route.
pub fn write(table: &Table<'_>, scope: Scope<'_>, namespace: &str, tombstone: Tombstone) -> Option<Write> {
    let scope = Scope {
        each: table.has("each"),
        ..scope
    };
    let when = cel::when(table, scope);
    let each = each(table, scope);
    let namespace = name(table, &NAMESPACE, scope, namespace);
    let set = name(table, &SET, scope, "");
    let key = table
        .required("key", "name the field that tells records apart, e.g. key = \"user.id\"")
        .and_then(|node| expressions::typed(node, scope, Place::Key));
    let bins = table.get("bins").map(|node| bins::bins(node, scope));
    let placed = operations::placed(table, scope);
    let newer = table.get("newer").map(|node| newer(node, scope));
    let ttl_words = match table.get("ttl_words") {
        None => Some(false),
        Some(_) => table.choice("ttl_words").map(|_| true),
    };
    let ttl = match table.get("ttl") {
        None => Some(Ttl::Default),
        Some(node) => ttl::ttl(node, scope, ttl_words == Some(true)),
    };
    let ttl_past = table.choice("ttl_past").map(ttl_past);
    let in_doubt = table.choice("in_doubt").map(in_doubt);
    let words = Words {
        table,
        touch: table.flag("touch"),
        delete: table.flag("delete"),
        mode: table.choice("mode").map(mode),
        on_conflict: table.choice("on_conflict").map(on_conflict),
        guard: table.flag("guard"),
        ttl: ttl.as_ref(),
        ttl_on: table.choice("ttl_on").map(ttl_on),
        ttl_past,
        tombstone: match table.get("tombstone") {
            None => Some(tombstone),
            Some(_) => table.choice("tombstone").map(self::tombstone),
        },
        key: key.as_ref(),
        namespace: namespace.as_ref(),
        set: set.as_ref(),
    };
    contradictions::refuse(&words);
    let fixed = bins.iter().flatten().flat_map(|bins| bins::fixed_names(bins)).collect();
    let newer_bin = newer.iter().flatten().map(|newer| newer.bin.as_str()).next();
    contradictions::refuse_bins_named_twice(table, fixed, &placed, newer_bin);
    let (touch, delete) = (words.touch?, words.delete?);
    let (mode, on_conflict, guard) = (words.mode, words.on_conflict, words.guard);
    let (ttl_on, tombstone) = (words.ttl_on, words.tombstone);
    let send_key = table.flag("send_key");
    let operations = operations::checked(table, placed);
    let action = if delete {
        Action::Delete
    } else if touch {
        Action::Touch
    } else {
        Action::Write {
            bins: bins.unwrap_or(Some(Vec::new()))?,
            operations,
        }
    };
    Some(Write {
        line: table.line(),
        when: when?,
        namespace: namespace?,
        set: set?,
        key: key?,
        each,
        action,
        tombstone: tombstone?,
        mode: mode?,
        on_conflict: on_conflict?,
        newer: match newer {
            None => None,
            Some(newer) => Some(newer?),
        },
        guard,
        in_doubt: in_doubt?,
        ttl: ttl?,
        ttl_on: ttl_on?,
        ttl_past: ttl_past?,
        ttl_words: ttl_words?,
        send_key: send_key?,
    })
}

/// The value of the word in `tombstone`, of a route or a write.
pub fn tombstone(word: &str) -> Tombstone {
    match word {
        "ignore" => Tombstone::Ignore,
        "delete" => Tombstone::Delete,
        _ => Tombstone::Reject,
    }
}

fn mode(word: &str) -> Mode {
    match word {
        "replace" => Mode::Replace,
        "create" => Mode::Create,
        "update_only" => Mode::UpdateOnly,
        _ => Mode::Update,
    }
}

fn on_conflict(word: &str) -> OnConflict {
    match word {
        "ignore" => OnConflict::Ignore,
        _ => OnConflict::Reject,
    }
}

fn in_doubt(word: &str) -> InDoubt {
    match word {
        "reject" => InDoubt::Reject,
        "hold" => InDoubt::Hold,
        _ => InDoubt::Retry,
    }
}

fn ttl_on(word: &str) -> TtlOn {
    match word {
        "create" => TtlOn::Create,
        _ => TtlOn::Write,
    }
}

fn ttl_past(word: &str) -> TtlPast {
    match word {
        "skip" => TtlPast::Skip,
        "delete" => TtlPast::Delete,
        _ => TtlPast::Reject,
    }
}

fn each(table: &Table<'_>, scope: Scope<'_>) -> Option<Each> {
    let max = table.number("each_max");
    let Some(node) = table.get("each") else {
        if let (Some(node), false) = (table.get("each_max"), table.is_misspelt("each")) {
            node.fault("`each_max` without `each`", "add each = \"…\", or remove it");
        }
        return None;
    };
    let text = node.text()?;
    let mut path = scope.root.to_vec();
    path.extend(expressions::parsed(node, &text, grammar::path(&text.value))?);
    match scope.through(Source::Path(path)) {
        Source::Path(path) => Some(Each { path, max: max? }),
        _ => None,
    }
}

/// Namespaces and sets are read in the same way. This has what differs.
struct Target {
    word: &'static str,
    allowed: &'static str,
    check: fn(&str) -> Result<(), String>,
    cure: &'static str,
    /// Why a name from the message needs a list.
    why: &'static str,
    example: &'static str,
}

const NAMESPACE: Target = Target {
    word: "namespace",
    allowed: "namespaces_allowed",
    check: names::namespace,
    cure: "name a namespace of the cluster",
    why: "a message must not get into one that nobody meant",
    example: "namespaces_allowed = [\"hot\", \"cold\"]",
};

const SET: Target = Target {
    word: "set",
    allowed: "sets_allowed",
    check: names::set,
    cure: "write a name of 1 to 63 bytes; remove `set` for records without one",
    why: "the server never frees a set's name, and a namespace has 4095 at most",
    example: "sets_allowed = [\"users_de\", \"users_fr\"]",
};

/// Reads the namespace or set. `absent`: its name if the file has none.
fn name(table: &Table<'_>, target: &Target, scope: Scope<'_>, absent: &str) -> Option<Name> {
    let allowed = table.get(target.allowed).map(|node| allowed(node, target));
    let Some(node) = table.get(target.word) else {
        refuse_allowed(table, target);
        return Some(Name::Fixed(absent.to_owned()));
    };
    let from_message = match node.value() {
        DeValue::Table(_) => true,
        // A reference is always a fixed name, whatever it contains.
        DeValue::String(text) => !text.starts_with("${") && (text.contains(['{', '}']) || text.starts_with('@')),
        _ => false,
    };
    let fixed = if from_message {
        let value = expressions::typed(node, scope, Place::Name)?;
        match value.expr {
            Expr::Constant(Constant::String(name)) => name,
            _ => return name_from_message(node, target, value, allowed, table.is_misspelt(target.allowed)),
        }
    } else {
        node.text()?.value
    };
    refuse_allowed(table, target);
    match (target.check)(&fixed) {
        Ok(()) => Some(Name::Fixed(fixed)),
        Err(problem) => {
            node.fault(problem, target.cure);
            None
        }
    }
}

fn name_from_message(
    node: &Node<'_>,
    target: &Target,
    value: Typed,
    allowed: Option<Option<Vec<String>>>,
    is_misspelt: bool,
) -> Option<Name> {
    let Target { word, why, example, .. } = target;
    let Some(allowed) = allowed else {
        if is_misspelt {
            return None;
        }
        node.fault(
            format!("a {word} from the message needs `{}`: {why}", target.allowed),
            format!("name those that it may be, e.g. {example}"),
        );
        return None;
    };
    let allowed = allowed?;
    if let Missing::Default(Constant::String(default)) = &value.missing
        && !allowed.contains(default)
    {
        let table = node.open_table(&keys::VALUE)?;
        let cure = format!("add it to {}, or write another", target.allowed);
        table
            .get("default")?
            .fault(format!("is not among {}", target.allowed), cure);
        return None;
    }
    Some(Name::FromMessage {
        value: Box::new(value),
        allowed,
    })
}

/// Refuses the list if the name does not come from the message.
fn refuse_allowed(table: &Table<'_>, target: &Target) {
    if let (Some(node), false) = (table.get(target.allowed), table.is_misspelt(target.word)) {
        let Target { word, allowed, .. } = target;
        node.fault(
            format!("`{allowed}` without a {word} from the message"),
            format!("remove it, or write e.g. {word} = \"{{country}}\""),
        );
    }
}

fn allowed(node: &Node<'_>, target: &Target) -> Option<Vec<String>> {
    let elements = node.texts()?;
    if node.elements().is_some_and(|all| all.is_empty()) {
        node.fault("needs at least one name", format!("write e.g. {}", target.example));
        return None;
    }
    let mut allowed: Vec<String> = Vec::new();
    for (node, name) in elements {
        if let Err(problem) = (target.check)(&name.value) {
            node.fault(problem, format!("write e.g. {}", target.example));
        } else if allowed.contains(&name.value) {
            node.fault("is named twice", "name each once");
        } else {
            allowed.push(name.value);
        }
    }
    Some(allowed)
}

fn newer(node: &Node<'_>, scope: Scope<'_>) -> Option<Newer> {
    let cure = "write newer = { path = \"source.lsn\", bin = \"_lsn\" }";
    if !matches!(node.value(), DeValue::Table(_)) {
        node.fault("expected a table", cure);
        return None;
    }
    let table = node.table(&keys::NEWER)?;
    if table.nodes.is_empty() {
        node.fault("is empty", cure);
        return None;
    }
    let path = table.required("path", cure);
    let expr = path.and_then(|path| expressions::expression(path, scope));
    if let (Some(path), Some(Expr::Template(_) | Expr::Constant(_))) = (path, &expr) {
        let cure = match expr.as_ref().and_then(|expr| expressions::in_braces(path, expr)) {
            Some(field) => format!("write path = {field}"),
            None => "name one field, e.g. \"source.lsn\"".to_owned(),
        };
        path.fault("a version is an integer, a template is a string", cure);
    }
    let cast = table
        .choice_of("as", None, type_names::meant_by)
        .map(type_names::as_named)
        .and_then(|cast| expressions::scaled(&table, Some(cast)).flatten());
    let missing = match table.get("missing") {
        None => Some(Missing::AsPlace),
        Some(_) => table.choice("missing").map(|word| match word {
            "skip" => Missing::Skip,
            _ => Missing::Reject,
        }),
    };
    let bin = table.required("bin", cure).and_then(|node| {
        let bin = node.text()?.value;
        match names::bin(&bin) {
            Ok(()) => Some(bin),
            Err(problem) => {
                node.fault(problem, bins::NAME_CURE);
                None
            }
        }
    });
    Some(Newer {
        value: Typed {
            expr: expr?,
            cast: Some(cast?),
            missing: missing?,
            big_numbers: BigNumbers::Reject,
            line: path?.line(),
            written: path?.written(),
        },
        bin: bin?,
    })
}
