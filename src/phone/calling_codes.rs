//! The country calling codes that exist: ITU-T E.164, list of assigned country codes, as far as telephones use them.

/// Is the code assigned? No code is the beginning of another.
pub(super) fn exists(code: u16) -> bool {
    ASSIGNED.iter().any(|(first, last)| (*first..=*last).contains(&code))
}

/// Ranges, both ends included. Codes that are reserved but not in use (such as 379) are left out, as they are in the clients'
/// telephone library: what it cannot parse no client can register.
const ASSIGNED: &[(u16, u16)] = &[
    (1, 1),
    (7, 7),
    (20, 20),
    (27, 27),
    (30, 34),
    (36, 36),
    (39, 41),
    (43, 49),
    (51, 58),
    (60, 66),
    (81, 82),
    (84, 84),
    (86, 86),
    (90, 95),
    (98, 98),
    (211, 213),
    (216, 216),
    (218, 218),
    (220, 258),
    (260, 269),
    (290, 291),
    (297, 299),
    (350, 359),
    (370, 378),
    (380, 383),
    (385, 387),
    (389, 389),
    (420, 421),
    (423, 423),
    (500, 509),
    (590, 599),
    (670, 670),
    (672, 683),
    (685, 692),
    (800, 800),
    (808, 808),
    (850, 850),
    (852, 853),
    (855, 856),
    (870, 870),
    (878, 878),
    (880, 883),
    (886, 886),
    (888, 888),
    (960, 968),
    (970, 977),
    (979, 979),
    (992, 996),
    (998, 998),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_the_beginning_of_another() {
        let all: Vec<u16> = (1..=999).filter(|code| exists(*code)).collect();
        for code in &all {
            for longer in &all {
                assert!(longer / 10 != *code && longer / 100 != *code, "{code} begins {longer}");
            }
        }
        // One digit 2, two digits 44, three digits the rest.
        assert_eq!(all.iter().filter(|code| **code < 10).count(), 2);
        assert_eq!(all.iter().filter(|code| (10..100).contains(*code)).count(), 44);
        assert_eq!(all.iter().filter(|code| **code >= 100).count(), 169);
    }

    #[test]
    fn reserved_codes_do_not_exist() {
        for code in [0, 2, 21, 37, 99, 210, 259, 379, 384, 388, 422, 671, 684, 699, 801, 851, 969, 978, 999, 1000] {
            assert!(!exists(code), "{code}");
        }
    }
}
