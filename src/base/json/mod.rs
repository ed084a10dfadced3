//! JSON text, read without building anything.
//!
//! [`scan::Scanner`] walks over text and checks the whole grammar (RFC 8259) and UTF-8; what it finds are
//! positions. [`text`] decodes the escapes of one string, for the few that have to be looked at.

pub mod block;
pub mod find;
pub mod padded;
pub mod scan;
pub mod text;
