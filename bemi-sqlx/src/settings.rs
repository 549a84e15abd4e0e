//! What a pool was told about contexts: how to encode them, and which functions write.

use bemi_core::statement::WriteFunctions;
use bemi_core::{Context, ContextMessage, MessageOptions};

/// Shared by a pool and everything that comes out of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) messages: MessageOptions,
    pub(crate) functions: WriteFunctions,
}

impl Settings {
    /// The message that is to govern what the statement `sql` writes; `{}` outside any scope.
    pub(crate) fn message(&self, context: Option<&Context>, sql: &str) -> ContextMessage {
        context
            .map_or_else(ContextMessage::empty, |context| self.messages.encode(context, Some(sql)))
    }
}
