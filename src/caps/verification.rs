//! The hash of what a disco#info answer says. XEP-0115 §5.1.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::xml::{Element, ns};

/// A hash function, by the names of XEP-0300.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// `sha-1`, which everybody must know.
    Sha1,
    /// `sha-256`.
    Sha256,
}

impl Hash {
    /// By its name; `None` for one that is not known here.
    pub fn named(name: &str) -> Option<Hash> {
        match name {
            "sha-1" => Some(Hash::Sha1),
            "sha-256" => Some(Hash::Sha256),
            _ => None,
        }
    }
}

/// The `ver` of a disco#info result; `None` if XEP-0115 §5.4 calls the result ill-formed.
pub fn verification(info: &Element, hash: Hash) -> Option<String> {
    let text = hashed_text(info)?;
    Some(match hash {
        Hash::Sha1 => STANDARD.encode(Sha1::digest(&text)),
        Hash::Sha256 => STANDARD.encode(Sha256::digest(&text)),
    })
}

fn hashed_text(info: &Element) -> Option<String> {
    let mut text = String::new();
    let mut identities: Vec<String> = of_kind(info, "identity", ns::DISCO_INFO)
        .map(|identity| {
            let part = |name: &str| identity.attribute(name).unwrap_or_default();
            format!("{}/{}/{}/{}", part("category"), part("type"), identity.lang().unwrap_or_default(), part("name"))
        })
        .collect();
    write_sorted(&mut identities, &mut text)?;
    let mut features: Vec<String> =
        of_kind(info, "feature", ns::DISCO_INFO).filter_map(|f| f.attribute("var")).map(str::to_owned).collect();
    write_sorted(&mut features, &mut text)?;
    let mut forms: Vec<(String, &Element)> = Vec::new();
    for form in of_kind(info, "x", ns::DATA_FORMS) {
        match form_type(form) {
            FormType::None => {}
            FormType::One(name) => forms.push((name, form)),
            FormType::Several => return None,
        }
    }
    forms.sort_by(|(one, _), (other, _)| one.cmp(other));
    if forms.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one == other)) {
        return None;
    }
    for (name, form) in forms {
        write_form(&name, form, &mut text);
    }
    Some(text)
}

/// §5.1 steps 3-5: sorted by their bytes, each ended by `<`. Two of the same are ill-formed.
fn write_sorted(lines: &mut [String], text: &mut String) -> Option<()> {
    lines.sort_unstable();
    if lines.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
        return None;
    }
    lines.iter().for_each(|line| write(line, text));
    Some(())
}

fn write_form(name: &str, form: &Element, text: &mut String) {
    write(name, text);
    let mut fields: Vec<(&str, Vec<String>)> = of_kind(form, "field", ns::DATA_FORMS)
        .map(|field| (field.attribute("var").unwrap_or_default(), values(field)))
        .filter(|(var, _)| *var != "FORM_TYPE")
        .collect();
    fields.sort_unstable();
    for (var, mut values) in fields {
        write(var, text);
        values.sort_unstable();
        values.iter().for_each(|value| write(value, text));
    }
}

fn write(line: &str, text: &mut String) {
    text.push_str(line);
    text.push('<');
}

enum FormType {
    /// Such a form is left out. §5.4 step 3.6.
    None,
    One(String),
    /// Ill-formed. §5.4 step 3.5.
    Several,
}

fn form_type(form: &Element) -> FormType {
    let field = of_kind(form, "field", ns::DATA_FORMS)
        .find(|field| field.attribute("var") == Some("FORM_TYPE") && field.attribute("type") == Some("hidden"));
    let mut values = field.map(values).unwrap_or_default();
    values.dedup();
    match values.len() {
        0 => FormType::None,
        1 => values.pop().map_or(FormType::None, FormType::One),
        _ => FormType::Several,
    }
}

fn values(field: &Element) -> Vec<String> {
    of_kind(field, "value", ns::DATA_FORMS).map(Element::text).collect()
}

fn of_kind<'a>(parent: &'a Element, name: &'static str, namespace: &'static str) -> impl Iterator<Item = &'a Element> {
    parent.children().filter(move |child| child.is(name, namespace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    fn hash(inner: &str) -> Option<String> {
        let text = format!("<query xmlns='{}'>{inner}</query>", ns::DISCO_INFO);
        verification(&parse_document(&text, ns::CLIENT, 20).unwrap(), Hash::Sha1)
    }

    #[test]
    fn the_examples_of_the_specification_have_their_hashes() {
        // XEP-0115 §5.2.
        let simple = "<identity category='client' name='Exodus 0.9.1' type='pc'/>\
             <feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#items'/>\
             <feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/muc'/>";
        assert_eq!(hash(simple).as_deref(), Some("QgayPKawpkPSDYmwT/WM94uAlu0="));
        // §5.3.
        let complex = "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
             <identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>\
             <feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>\
             <feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>\
             <x xmlns='jabber:x:data' type='result'>\
             <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
             <field var='ip_version'><value>ipv4</value><value>ipv6</value></field>\
             <field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>\
             <field var='software'><value>Psi</value></field><field var='software_version'><value>0.11</value></field>\
             </x>";
        assert_eq!(hash(complex).as_deref(), Some("q07IKJEyjvHSyhy//CH0CxmKi8w="));
    }

    #[test]
    fn ill_formed_answers_have_no_hash() {
        let form =
            |kind: &str| format!("<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'>{kind}</field></x>");
        for inner in [
            "<feature var='a'/><feature var='a'/>".to_owned(),
            "<identity category='a' type='b'/><identity category='a' type='b'/>".to_owned(),
            form("<value>a</value><value>b</value>"),
            format!("{0}{0}", form("<value>a</value>")),
        ] {
            assert_eq!(hash(&inner), None, "{inner}");
        }
        // A form without a type is not hashed.
        assert_eq!(hash("<x xmlns='jabber:x:data'><field var='a'><value>b</value></field></x>"), hash(""));
    }
}
