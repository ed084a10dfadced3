//! JSON text without a parse tree.
//!
//! The layers: [`block`] compares sixteen bytes, [`padded`] makes the reads of the scanner safe,
//! [`scan::Scanner`] checks the whole grammar (RFC 8259) and UTF-8 and reports positions, [`find`] and
//! [`mod@pointer`] read single values. [`text`] decodes the escapes of one string.

pub mod block;
pub mod find;
pub mod padded;
pub mod pointer;
pub mod scan;
pub mod text;
