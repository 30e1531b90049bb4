//! Telephone numbers, verification codes and other texts that must not be printed. `kontalk-protocol` 1.1; E.164.
//!
//! (Placeholder of the words room `phone`; written by the registration work.)
