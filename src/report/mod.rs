//! What people read: summaries from the journal alone, and the texts of
//! questions, messages and pages.
//!
//! ```text
//! dossier ─▶ executive | technical (sentences with their entries) ─▶ template ─▶ HTML or Markdown
//! ```
//!
//! Templates are authors' text; everything they show is the world's. It is
//! escaped by the writer, and no template can ask for it raw.

pub mod detection;
pub mod escape;
pub mod executive;
pub mod header;
pub mod lint;
pub mod named;
pub mod redact;
pub mod render;
pub mod stated;
pub mod technical;
pub mod templates;
pub mod text;
pub mod words;
