//! Keys of a `[[route.write]]` that contradict each other.
//!
//! Each key alone was read before; this code only checks combinations. A key that is faulty by itself is reported where
//! it is read, and is not checked here.

use crate::config::file::reader::Table;
use crate::config::keys;
use crate::config::model::{As, Expr, Mode, Name, OnConflict, Part, Source, Tombstone, Ttl, TtlOn, TtlPast, Typed};
use crate::config::operations;
use crate::config::routes::operations::Placed;

/// The parts of a write that are not faulty.
pub struct Words<'t, 'a> {
    pub table: &'t Table<'a>,
    pub touch: Option<bool>,
    pub delete: Option<bool>,
    pub mode: Option<Mode>,
    pub on_conflict: Option<OnConflict>,
    /// `None`: faulty, or not in the file.
    pub guard: Option<bool>,
    pub ttl: Option<&'t Ttl>,
    pub ttl_on: Option<TtlOn>,
    pub ttl_past: Option<TtlPast>,
    pub tombstone: Option<Tombstone>,
    pub key: Option<&'t Typed>,
    pub namespace: Option<&'t Name>,
    pub set: Option<&'t Name>,
}

/// Notes a fault for every combination that is not possible.
pub fn refuse(words: &Words<'_, '_>) {
    words.refuse_nothing_to_do();
    // If a key is faulty, it is not known what it contradicts.
    let (Some(touch), Some(delete)) = (words.touch, words.delete) else {
        return;
    };
    if touch {
        words.refuse_beside_touch();
    } else if delete {
        words.refuse_beside_delete();
    } else {
        words.refuse_against_mode();
        words.refuse_doubt();
        words.refuse_ttl_on_create();
    }
    if !delete {
        words.refuse_ttl_words();
    }
    words.refuse_tombstone();
}

impl Words<'_, '_> {
    fn has(&self, word: &str) -> bool {
        self.table.get(word).is_some()
    }

    /// Notes a fault at the key, if it is in the file.
    fn refuse(&self, word: &str, problem: impl Into<String>, cure: impl Into<String>) {
        if let Some(node) = self.table.get(word) {
            node.fault(problem, cure);
        }
    }

    fn refuse_nothing_to_do(&self) {
        if self.has("bins")
            || operations::words().any(|word| self.has(word))
            || self.touch != Some(false)
            || self.delete != Some(false)
        {
            return;
        }
        let mut words = operations::words().chain(["bins", "touch", "delete"]);
        if words.any(|word| self.table.is_misspelt(word)) {
            return;
        }
        if self.tombstone == Some(Tombstone::Delete) && self.has("tombstone") {
            self.refuse(
                "tombstone",
                "it does not say what a message with a payload writes",
                "add it, e.g. bins = { country = \"user.country\" }, or delete = true if every message deletes",
            );
            return;
        }
        let alone = operations::words().filter(|word| *word != operations::KEEP_LAST.word);
        let cure = format!(
            "say what is stored, e.g. bins = {{ country = \"user.country\" }}, or write {}, touch = true or delete = true",
            alone.collect::<Vec<_>>().join(", ")
        );
        self.table.fault_missing("bins", &cure);
    }

    fn refuse_beside_touch(&self) {
        let contradicts = |word: &str| {
            let problem = format!("`{word}` contradicts `touch`, which only restarts the record's life");
            self.refuse(word, problem, format!("remove `{word}`, or `touch`"));
        };
        contradicts("bins");
        operations::words().for_each(contradicts);
        ["mode", "on_conflict", "newer", "in_doubt"]
            .into_iter()
            .for_each(contradicts);
        if self.delete == Some(true) {
            contradicts("delete");
        }
        if self.guard == Some(true) {
            contradicts("guard");
        }
        if self.ttl_on == Some(TtlOn::Create) {
            contradicts("ttl_on");
        }
        if matches!(self.ttl, Some(Ttl::Keep)) {
            self.refuse(
                "ttl",
                "ttl = \"keep\" contradicts `touch`, which restarts the record's life",
                "write how long it is to live, e.g. \"30d\", or \"default\"",
            );
        }
    }

    fn refuse_beside_delete(&self) {
        let others = [
            "mode",
            "on_conflict",
            "in_doubt",
            "ttl",
            "ttl_on",
            "ttl_past",
            "ttl_words",
            "send_key",
        ];
        for word in ["bins"].into_iter().chain(operations::words()).chain(others) {
            let problem = format!("`{word}` contradicts `delete`, which leaves nothing of the record");
            self.refuse(word, problem, format!("remove `{word}`, or `delete`"));
        }
    }

    fn refuse_against_mode(&self) {
        let Some(mode) = self.mode.filter(|_| !self.table.is_misspelt("mode")) else {
            return;
        };
        match mode {
            Mode::Update | Mode::Replace => self.refuse(
                "on_conflict",
                "`on_conflict` has no effect: this mode has no conflicts",
                "add mode = \"create\" or mode = \"update_only\", or remove it",
            ),
            Mode::Create | Mode::UpdateOnly => {}
        }
        if mode == Mode::Replace {
            for word in operations::words() {
                let problem = format!("`{word}` contradicts mode = \"replace\", which leaves no bin to work on");
                let cure = format!("remove `{word}`, or write mode = \"update\"");
                self.refuse(word, problem, cure);
            }
            if self.guard == Some(true) {
                self.refuse(
                    "guard",
                    "`guard` contradicts mode = \"replace\", which takes the guard's bin along",
                    "remove `guard`, or write mode = \"update\"",
                );
            }
        }
        if mode == Mode::Create {
            for (word, why) in [
                ("newer", "a record that is not there holds no version"),
                ("remove", "a record that is not there has no bin to remove"),
            ] {
                let problem = format!("`{word}` contradicts mode = \"create\": {why}");
                let cure = format!("remove `{word}`, or write mode = \"update\"");
                self.refuse(word, problem, cure);
            }
        }
    }

    /// `in_doubt` is only for a write that needs a guard but has none.
    fn refuse_doubt(&self) {
        let conflicts = matches!(self.mode, Some(Mode::Create | Mode::UpdateOnly));
        let deletes_past =
            self.ttl_past == Some(TtlPast::Delete) && self.mode != Some(Mode::Replace) && !self.has("newer");
        let by_default = operations::ALL
            .iter()
            .any(|each| !each.is_repeatable && self.has(each.word))
            || deletes_past
            || (conflicts && self.on_conflict == Some(OnConflict::Reject));
        let guarded = match self.table.get("guard") {
            None => by_default,
            Some(_) => self.guard == Some(true),
        };
        if guarded {
            self.refuse(
                "in_doubt",
                "`in_doubt` contradicts the guard: a guarded write is never in doubt",
                "remove `in_doubt`, or write guard = false",
            );
        }
    }

    fn refuse_ttl_on_create(&self) {
        if self.ttl_on != Some(TtlOn::Create) || self.table.is_misspelt("ttl") {
            return;
        }
        let against_mode = match self.mode {
            Some(Mode::Create) => Some(("create", "there every write makes its record")),
            Some(Mode::UpdateOnly) => Some(("update_only", "there no write makes a record")),
            Some(Mode::Replace) => Some(("replace", "there every write sets the record's life")),
            Some(Mode::Update) | None => None,
        };
        if let Some((mode, why)) = against_mode {
            let problem = format!("ttl_on = \"create\" contradicts mode = \"{mode}\": {why}");
            self.refuse("ttl_on", problem, "remove `ttl_on`, or write mode = \"update\"");
        }
        match self.ttl {
            Some(Ttl::Default) => self.refuse(
                "ttl_on",
                "ttl_on = \"create\" has no effect: the write has no ttl of its own",
                "add one, e.g. ttl = \"30d\"; the namespace's for a new record, and for others what they have, is \
                 ttl = \"keep\" alone",
            ),
            Some(Ttl::Keep) => self.refuse(
                "ttl_on",
                "ttl_on = \"create\" contradicts ttl = \"keep\", which sets none",
                "remove `ttl_on`, or write a ttl such as \"30d\"",
            ),
            _ => {}
        }
    }

    /// `ttl_past` is only for an instant, `ttl_words` only for a number from the message.
    fn refuse_ttl_words(&self) {
        // If the ttl is faulty, it is not known which kind it is.
        let Some(ttl) = self.ttl.filter(|_| !self.table.is_misspelt("ttl")) else {
            return;
        };
        let from_message = match ttl {
            Ttl::Field(typed) => Some(typed.cast.and_then(As::unit).is_some()),
            Ttl::Default | Ttl::Never | Ttl::Keep | Ttl::Seconds(_) => None,
        };
        if from_message != Some(true) {
            self.refuse(
                "ttl_past",
                "`ttl_past` without a ttl that is an instant",
                "write e.g. ttl = { path = \"expires_at\", as = \"epoch_s\" }, or remove it",
            );
        }
        if from_message.is_none() {
            self.refuse(
                "ttl_words",
                "`ttl_words` without a ttl from the message",
                "write e.g. ttl = { path = \"expires_in\" }, or remove it",
            );
        }
        if self.ttl_past != Some(TtlPast::Delete) {
            return;
        }
        let against = if self.touch == Some(true) {
            Some("`touch`: it has no guard, and a message that comes again would delete a record that lives on")
        } else if self.mode == Some(Mode::Create) {
            Some("mode = \"create\", which never changes a record that is there")
        } else if self.ttl_on == Some(TtlOn::Create) {
            Some("ttl_on = \"create\": a record that is there keeps the life that it has")
        } else {
            None
        };
        if let Some(against) = against {
            let problem = format!("ttl_past = \"delete\" contradicts {against}");
            self.refuse("ttl_past", problem, "write ttl_past = \"skip\"");
        }
    }

    /// A message without payload has no fields from which the record's name could come.
    fn refuse_tombstone(&self) {
        if self.tombstone != Some(Tombstone::Delete) {
            return;
        }
        if self.key.is_some_and(needs_payload) {
            self.refuse(
                "key",
                "tombstone = \"delete\" needs a key that a message without payload has",
                "take it from the message's key, a header or other metadata, e.g. key = \"@key\", or write \
                 tombstone = \"ignore\"",
            );
        }
        self.refuse(
            "each",
            "tombstone = \"delete\" contradicts `each`: a message without payload has no elements",
            "remove `each`, or write tombstone = \"ignore\"",
        );
        for (word, name) in [("namespace", self.namespace), ("set", self.set)] {
            if matches!(name, Some(Name::FromMessage { value, .. }) if needs_payload(value)) {
                self.refuse(
                    word,
                    format!("tombstone = \"delete\" needs a {word} that a message without payload has"),
                    format!("take it from metadata, e.g. {word} = \"@header.{word}\", or write tombstone = \"ignore\""),
                );
            }
        }
    }
}

/// Whether a value comes from the payload, which a tombstone does not have.
pub fn needs_payload(value: &Typed) -> bool {
    let from_payload = |source: &Source| {
        matches!(
            source,
            Source::Path(_) | Source::Item(_) | Source::Index | Source::Value
        )
    };
    match &value.expr {
        Expr::Constant(_) => false,
        Expr::Source(source) => from_payload(source),
        Expr::Template(parts) => parts.iter().any(|part| match part {
            Part::Literal(_) => false,
            Part::Source(source) | Part::Time { source, .. } => from_payload(source),
        }),
        Expr::Object(fields) => fields.iter().any(|(_, value)| needs_payload(value)),
        Expr::Cel(cel) => cel.program.reads_payload(),
    }
}

/// Notes a fault for each bin that is named twice. `fixed`: the names in `bins`; `newer`: the bin of the version.
pub fn refuse_bins_named_twice(table: &Table<'_>, fixed: Vec<&str>, placed: &[Placed<'_>], newer: Option<&str>) {
    let cure = "give each a bin of its own, or keep one of them";
    let mut taken: Vec<(&str, &str)> = fixed.into_iter().map(|bin| (bin, "bins")).collect();
    for Placed {
        node, descriptor, bin, ..
    } in placed
    {
        let word = descriptor.word;
        match taken.iter().find(|(each, _)| each == bin) {
            Some((_, first)) => node.fault(format!("`{first}` and `{word}` both name this bin"), cure),
            None => taken.push((bin, word)),
        }
    }
    if let (Some(newer), Some(node)) = (newer, table.get("newer"))
        && let Some((_, first)) = taken.iter().find(|(each, _)| *each == newer)
        && let Some(table) = node.open_table(&keys::NEWER)
        && let Some(node) = table.get("bin")
    {
        node.fault(
            format!("`{first}` and `newer` both name this bin"),
            "give the version a bin of its own",
        );
    }
}
