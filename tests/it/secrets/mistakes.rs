//! Configurations with mistakes around a secret: no message repeats a part of it. `check`, `run` and all other commands
//! print the same messages.

use super::Secret;
use penstock::config::{self, Outside};

/// The text of a secret in all cases here.
const TEXT: &str = "Vq7Kd2WxJm4Zt9Rb";

/// What references lead to. Everything that is asked for is there.
struct World(&'static str);

impl Outside for World {
    fn env(&self, _: &str) -> Result<String, String> {
        Ok(self.0.to_owned())
    }

    fn file(&self, path: &str) -> Result<String, String> {
        if path == "/none" {
            return Err("cannot be read: no such file".to_owned());
        }
        Ok(format!("{}\n", self.0))
    }
}

/// Every property that librdkafka calls sensitive (`_RK_SENSITIVE` in `rdkafka_conf.c`), and those of other clients that
/// a user may write in their place.
const PROPERTIES: &[&str] = &[
    "sasl.username",
    "sasl.password",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl_key",
    "ssl.ca.pem",
    "ssl.keystore.password",
    "sasl.jaas.config",
    "ssl.truststore.password",
    "ssl.keystore.key",
    "sasl.pasword",
    "password",
    "basic.auth.user.info",
    "sasl.login.credentials",
];

/// What stands before the key and behind it, and the key.
fn places() -> Vec<(String, String, String)> {
    let place = |before: &str, key: &str, after: &str| (before.to_owned(), key.to_owned(), after.to_owned());
    let kafka = "[kafka]\nbrokers = \"k:9092\"\ntopics = [\"events\"]\n";
    let aerospike = "[aerospike]\nhosts = \"a:3000\"\nnamespace = \"test\"\n";
    let route = "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }\n";
    let mut places = Vec::new();
    for key in [
        "password",
        "pass",
        "passwd",
        "auth",
        "token",
        "Password",
        "passphrase",
        "credential",
    ] {
        places.push(place(&format!("{kafka}{aerospike}user = \"u\"\n"), key, route));
        places.push(place(&format!("{aerospike}{kafka}"), key, route));
        places.push(place("", key, &format!("{kafka}{aerospike}{route}")));
        places.push(place(&format!("{aerospike}{kafka}{route}"), key, ""));
        places.push(place(
            &format!("{aerospike}{kafka}{route}[http]\nlisten = \"127.0.0.1:0\"\n"),
            key,
            "",
        ));
        places.push(place(&format!("{aerospike}{kafka}{route}[run]\n"), key, ""));
        places.push(place(
            &format!("{aerospike}{kafka}{route}[reject]\naction = \"drop\"\n"),
            key,
            "",
        ));
        places.push(place(&format!("{aerospike}{kafka}{route}[secrets]\n"), key, ""));
        places.push(place(&format!("{aerospike}{kafka}{route}[kafka.sasl]\n"), key, ""));
    }
    for key in ["key", "key_password", "key_pem", "private_key"] {
        places.push(place(&format!("{kafka}{route}{aerospike}[aerospike.tls]\n"), key, ""));
    }
    for name in PROPERTIES {
        for table in ["properties", "consumer", "producer", "propertis"] {
            // In the others the same is read in the same way.
            if table != "properties" && !["sasl.password", "ssl.key.pem", "sasl.pasword"].contains(name) {
                continue;
            }
            let before = format!("{aerospike}{route}{kafka}[kafka.{table}]\n");
            places.push(place(&before, &format!("\"{name}\""), ""));
            places.push(place(&before, name, ""));
        }
        places.push(place(
            &format!("{aerospike}{route}{kafka}"),
            &format!("properties.\"{name}\""),
            "",
        ));
        places.push(place(
            &format!("{aerospike}{route}{kafka}"),
            &name.replace('.', "_"),
            "",
        ));
        places.push(place(&format!("{aerospike}{route}{kafka}"), &format!("\"{name}\""), ""));
        let login = "\"security.protocol\" = \"sasl_ssl\"\n\"sasl.mechanism\" = \"PLAIN\"\n";
        places.push(place(
            &format!("{aerospike}{route}{kafka}[kafka.properties]\n{login}"),
            &format!("\"{name}\""),
            "",
        ));
    }
    places
}

/// Ways to write a value, right and wrong. `@` is the secret.
const VALUES: &[&str] = &[
    "\"@\"",
    "'@'",
    "\"\"\"@\"\"\"",
    "'''\n@\n'''",
    "\"\"\"\nx\n@\n",
    "@",
    "@@",
    "\"@",
    "@\"",
    "'@",
    "'@\"",
    "\"@\"@\"",
    "\"@\" \"@\"",
    "\"@\" @",
    "\"@\" # the old one: @",
    "x\"@\"",
    "\"@\";",
    "\"@\",",
    "“@”",
    "`@`",
    "\"\\@\"",
    "\"\\u@\"",
    "\"x\\q@\"",
    "\"x\ty\u{1}@\"",
    "\"x\n@\"",
    "\"x\n@ =\n@ = @\n",
    "-----BEGIN PRIVATE KEY-----\n@\n@=\n-----END PRIVATE KEY-----",
    "\"-----BEGIN PRIVATE KEY-----\n@\n@=\n-----END PRIVATE KEY-----\"",
    "'''-----BEGIN PRIVATE KEY-----\n@\n@=\n-----END PRIVATE KEY-----'''",
    "\"$@\"",
    "\"${@\"",
    "\"@${@}\"",
    "\"${env:A}@\"",
    "\"x${file:/x}@\"",
    "\"${@}\"",
    "\"$${@}\"",
    "\"${vault:@}\"",
    "\"$(cat @)\"",
    "\"{@}\"",
    "\"user:@\"",
    "\"principal=me @\"",
    "\"principal=@ lifeSeconds=0\"",
    "\"https://u:@@host/x\"",
    "\"x\\u0000@\"",
    "\"x\\n@\\u001b[2J\"",
    "\"x\\\"@\"",
    "[\"@\"]",
    "[\"@\", 1]",
    "[@]",
    "{ value = \"@\" }",
    "{ env = \"A\", default = \"@\" }",
    "{ value = @ }",
    "{ @ }",
    "{@}",
    "{ \"x\" = \"@\"",
    "{ value: \"@\" }",
    ": \"@\"",
    "= \"@\"",
    "$@",
    "!@",
    "@#@",
    "@ = \"@\"",
    "@, @",
    "@ and @",
    "//@",
    "<<EOF\n@\nEOF",
    "|\n  @\n  @: @",
    "\"@\"\n\"@\"",
    "\"@\\\n",
    "\"${env:A}\"",
    "\"${file:/run/x}\"",
    "\"${file:/none}\"",
    "${env:A}",
    "${file:/x}@",
];

/// Numbers are secrets, too: `password = 4711…`. These are looked for in what was written.
const NUMBERS: &[&str] = &[
    "@",
    "-@",
    "@.5",
    "[@]",
    "{ pin = @ }",
    "0x@",
    "@_000",
    "@ @",
    "@e5",
    "\"@\"",
    "0@",
];
const NUMBER: &str = "8362719450";

#[test]
fn no_message_about_a_configuration_repeats_a_part_of_a_secret() {
    let mut tried = 0;
    let mut told: Vec<String> = Vec::new();
    for (secret, values) in [(TEXT, VALUES), (NUMBER, NUMBERS)] {
        let looked_for = Secret::new("the secret", secret);
        for (place, (before, key, after)) in places().into_iter().enumerate() {
            let signs = |value| [(" = ", value), (": ", value), (" ", value)];
            for (number, (sign, value)) in values.iter().flat_map(signs).enumerate() {
                // Only some: each sign is a mistake of its own.
                if sign != " = " && !["\"@\"", "@", "'@'"].contains(value) {
                    continue;
                }
                // All values in the places that people use; in the others they take turns.
                let is_usual = ["password", "\"sasl.password\"", "\"ssl.key.pem\"", "key"].contains(&key.as_str());
                if !is_usual && (number + place) % 4 != 0 {
                    continue;
                }
                let value = value.replace('@', secret);
                let line = format!("{key}{sign}{value}");
                let text = format!("{before}{line}\n{after}");
                tried += 1;
                let Err(faults) = config::parse_with(&text, "penstock.toml", &World(secret)) else {
                    continue;
                };
                for said in [faults.to_string(), format!("{faults:?}")] {
                    if let Some(found) = looked_for.found_in(&said) {
                        told.push(format!(
                            "{:?}\n    {found}",
                            text.get(before.len().saturating_sub(40)..)
                                .unwrap_or(&text)
                                .chars()
                                .take(200)
                                .collect::<String>()
                        ));
                        break;
                    }
                }
            }
        }
    }
    assert!(tried > 5000, "{tried}");
    assert!(told.is_empty(), "{} of {tried}:\n{}", told.len(), told.join("\n"));
}

/// `${file:…}` is right for a password, and wrong where a path belongs.
#[test]
fn a_private_key_in_the_place_of_its_path_is_not_told() {
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nVq7Kd2WxJm4Zt9Rb\n-----END PRIVATE KEY-----";
    let secret = Secret::new("the key", TEXT);
    let kafka = "[kafka]\nbrokers = \"k:9092\"\ntopics = [\"events\"]\n";
    let rest = "[aerospike]\nhosts = \"a:3000\"\nnamespace = \"test\"\n[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }\n";
    for value in [
        "\"${file:/client.key}\"".to_owned(),
        format!("'''{KEY}'''"),
        format!("{:?}", KEY.replace('\n', "")),
    ] {
        let of_aerospike = format!("{kafka}{rest}[aerospike.tls]\ncertificate = \"/c.pem\"\nkey = {value}\n");
        let faults = config::parse_with(&of_aerospike, "penstock.toml", &World(KEY))
            .unwrap_err()
            .to_string();
        assert!(
            faults.contains("aerospike.tls.key: this is the text of a file, and not its path"),
            "{faults}"
        );
        secret.assert_not_in("a fault of aerospike.tls.key", &faults);
        for name in ["ssl.key.location", "ssl.certificate.location", "ssl.keystore.location"] {
            let password = if name == "ssl.keystore.location" {
                "\"ssl.keystore.password\" = \"x\"\n"
            } else {
                ""
            };
            let of_kafka = format!(
                "{rest}{kafka}[kafka.properties]\n\"security.protocol\" = \"ssl\"\n\"{name}\" = {value}\n{password}"
            );
            let config = config::parse_with(&of_kafka, "penstock.toml", &World(KEY)).unwrap();
            let faults = penstock::config::kafka::tls_files::look(&config.kafka);
            assert!(
                faults
                    .iter()
                    .any(|fault| fault.problem.contains("this is the text of a file")),
                "{faults:?}"
            );
            secret.assert_not_in(name, &format!("{faults:?}"));
        }
    }
}
