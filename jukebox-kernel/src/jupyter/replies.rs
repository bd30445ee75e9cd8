//! Replies that need no evaluation.

use jupyter_protocol::{
    CodeMirrorMode, CommInfoReply, HelpLink, HistoryReply, IsCompleteReply, IsCompleteReplyStatus,
    JupyterMessage, JupyterMessageContent, KernelInfoReply, LanguageInfo, ReplyStatus,
};

use crate::session::{Completeness, completeness};

/// The reply to a request; `None` for what wants none.
pub fn to(request: &JupyterMessage) -> Option<JupyterMessageContent> {
    match &request.content {
        JupyterMessageContent::KernelInfoRequest(_) => Some(kernel_info().into()),
        JupyterMessageContent::IsCompleteRequest(request) => {
            Some(is_complete(&request.code).into())
        }
        JupyterMessageContent::HistoryRequest(_) => Some(HistoryReply::new(Vec::new()).into()),
        JupyterMessageContent::CommInfoRequest(_) => Some(CommInfoReply::default().into()),
        _ => None,
    }
}

fn kernel_info() -> KernelInfoReply {
    KernelInfoReply {
        status: ReplyStatus::Ok,
        protocol_version: "5.5".to_owned(),
        implementation: "jukebox-kernel".to_owned(),
        implementation_version: env!("CARGO_PKG_VERSION").to_owned(),
        language_info: LanguageInfo {
            name: "rust".to_owned(),
            version: "1.95".to_owned(),
            mimetype: Some("text/rust".to_owned()),
            file_extension: Some(".rs".to_owned()),
            pygments_lexer: Some("rust".to_owned()),
            codemirror_mode: Some(CodeMirrorMode::Simple("rust".to_owned())),
            nbconvert_exporter: Some("script".to_owned()),
        },
        banner: format!("Jukebox {} (Rust)", env!("CARGO_PKG_VERSION")),
        help_links: vec![
            HelpLink {
                text: "The Rust book".to_owned(),
                url: "https://doc.rust-lang.org/book/".to_owned(),
            },
            HelpLink {
                text: "Burn".to_owned(),
                url: "https://burn.dev/books/burn/".to_owned(),
            },
        ],
        debugger: false,
        error: None,
    }
}

fn is_complete(code: &str) -> IsCompleteReply {
    match completeness(code) {
        Completeness::Complete => IsCompleteReply::complete(),
        Completeness::Incomplete => {
            IsCompleteReply::new(IsCompleteReplyStatus::Incomplete, "    ".to_owned())
        }
        Completeness::Invalid => IsCompleteReply::invalid(),
    }
}
