//! Values as they lie in the trees: records with a layout byte, large ones compressed, and things in parts.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::schema::Trees;
use super::{StoreError, changes};

/// A record in today's layout.
pub(super) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_extend(record, vec![LAYOUT]).map_err(|error| StoreError::Database(error.to_string()))
}

/// A record in any layout this program knows; `None` if it is in no such layout.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match bytes.split_first()? {
        (&LAYOUT, record) => postcard::from_bytes(record).ok(),
        _ => None,
    }
}

/// A large record, compressed.
pub(super) fn encode_packed<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    let plain = postcard::to_stdvec(record).map_err(|error| StoreError::Database(error.to_string()))?;
    let mut bytes = vec![LAYOUT_PACKED];
    bytes.extend_from_slice(&lz4_flex::compress_prepend_size(&plain));
    Ok(bytes)
}

/// A record that [`encode_packed`] wrote; `None` if it is not, or claims to be larger than `bytes_max`.
pub(super) fn decode_packed<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Option<T> {
    postcard::from_bytes(&unpacked(bytes, bytes_max)?).ok()
}

/// The same before it is decoded, for records that are read in place.
pub(super) fn unpacked(bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    match bytes.split_first()? {
        (&LAYOUT_PACKED, packed) => {
            let size = u32::from_le_bytes(*packed.first_chunk::<4>()?);
            if usize::try_from(size).ok()? > bytes_max {
                return None;
            }
            lz4_flex::decompress_size_prepended(packed).ok()
        }
        _ => None,
    }
}

/// Reads a record, or sets it aside.
pub(super) fn decode_or_set_aside<T: DeserializeOwned>(
    trees: &Trees,
    tree: &sled::Tree,
    key: &[u8],
    value: &[u8],
) -> Result<Option<T>, StoreError> {
    let record = decode(value);
    if record.is_none() {
        set_aside(trees, tree, key, value)?;
    }
    Ok(record)
}

/// Moves a record that cannot be read out of the way, keeping it.
pub(super) fn set_aside(trees: &Trees, tree: &sled::Tree, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    let name = tree.name();
    let mut place = name.to_vec();
    place.push(0);
    place.extend_from_slice(key);
    // The copy first: a power cut in between leaves the record twice, never not at all.
    changes::put(&trees.damaged, place, value)?;
    changes::remove(tree, key)?;
    log::error!(
        "store: a record of tree {} could not be read and was set aside (remedy: check the disk; restore the latest backup if users \
         miss something)",
        String::from_utf8_lossy(&name)
    );
    Ok(())
}

/// Cuts a thing into values that sled keeps in its own file, the first with the length of the whole.
pub(super) fn parts(whole: &[u8]) -> Vec<Vec<u8>> {
    let length = u32::try_from(whole.len()).unwrap_or(u32::MAX).to_be_bytes();
    let (first, rest) = whole.split_at(whole.len().min(VALUE_BYTES_MAX - length.len()));
    let mut values = vec![[length.as_slice(), first].concat()];
    values.extend(rest.chunks(VALUE_BYTES_MAX).map(<[u8]>::to_vec));
    values
}

/// Puts a thing together again; `None` if a part is missing.
pub(super) fn whole<V: AsRef<[u8]>>(values: &[V]) -> Option<Vec<u8>> {
    let (first, rest) = values.split_first()?;
    let (length, first) = first.as_ref().split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let mut whole = Vec::with_capacity(length.min(VALUE_BYTES_MAX * (rest.len() + 1)));
    whole.extend_from_slice(first);
    for part in rest {
        whole.extend_from_slice(part.as_ref());
    }
    (whole.len() == length).then_some(whole)
}

/// The largest value. A page of sled holds up to 16 values and must stay under a quarter of a segment (2 MiB), else it goes to a
/// file of its own that no sync covers.
pub(super) const VALUE_BYTES_MAX: usize = 24 * 1024;

/// Postcard.
const LAYOUT: u8 = 1;

/// Postcard in an LZ4 block behind its length.
const LAYOUT_PACKED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_in_parts_come_back_whole_or_not_at_all() {
        for length in [0, 1, VALUE_BYTES_MAX - 4, VALUE_BYTES_MAX - 3, 3 * VALUE_BYTES_MAX] {
            let thing: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let values = parts(&thing);
            assert!(values.iter().all(|value| value.len() <= VALUE_BYTES_MAX));
            assert_eq!(whole(&values), Some(thing));
            if values.len() > 1 {
                assert_eq!(whole(&values[1..]), None);
                assert_eq!(whole(&values[..values.len() - 1]), None);
            }
        }
        assert_eq!(whole::<Vec<u8>>(&[]), None);
    }

    #[test]
    fn a_record_of_an_unknown_layout_is_not_guessed_at() {
        let bytes = encode(&(7_u32, "seven")).unwrap();
        assert_eq!(decode(&bytes), Some((7_u32, "seven".to_owned())));
        let mut newer = bytes.clone();
        newer[0] = LAYOUT + 1;
        assert_eq!(decode::<(u32, String)>(&newer), None);
        assert_eq!(decode::<(u32, String)>(&bytes[..2]), None);
        assert_eq!(decode::<(u32, String)>(&[]), None);
    }

    #[test]
    fn a_packed_record_is_small_and_cannot_claim_to_be_huge() {
        let record = vec!["<message type='chat'/>".to_owned(); 100];
        let bytes = encode_packed(&record).unwrap();
        assert!(bytes.len() < 200, "{}", bytes.len());
        assert_eq!(decode_packed(&bytes, 10_000), Some(record));
        assert_eq!(decode_packed::<Vec<String>>(&bytes, 1000), None);
        for cut in 0..bytes.len() {
            assert_eq!(decode_packed::<Vec<String>>(&bytes[..cut], 10_000), None);
        }
    }
}
