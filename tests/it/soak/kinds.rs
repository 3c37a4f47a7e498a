//! The kinds of request that clients make.

/// Who asks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A fresh question at `/llm/generate`.
    Json,
    Stream,
    /// A fresh question at `/v1/chat/completions`.
    ChatJson,
    ChatStream,
    /// At `/v1/embeddings`.
    Embedding,
    /// One of a few questions that are asked again and again.
    Repeated,
    /// One of many questions that each are asked again when its answer is no longer fresh.
    Seldom,
    /// The same fresh question at both instances at once.
    Together,
    /// A client that leaves in the middle.
    Leaving,
    /// A client that reads slowly.
    Slow,
    /// What no gateway takes.
    Bad,
    /// A client that asks more often than it may.
    Limited,
    /// A client that is known by its session.
    Session,
    /// What failed before, asked for in the cache alone.
    Recalled,
}

impl Kind {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Json => "generate, JSON",
            Self::Stream => "generate, stream",
            Self::ChatJson => "chat, JSON",
            Self::ChatStream => "chat, stream",
            Self::Embedding => "embedding",
            Self::Repeated => "repeated",
            Self::Seldom => "asked seldom",
            Self::Together => "at both at once",
            Self::Leaving => "leaves",
            Self::Slow => "reads slowly",
            Self::Bad => "bad request",
            Self::Limited => "over its rate",
            Self::Session => "by session",
            Self::Recalled => "recalled from the cache",
        }
    }
}

/// Twenty turns of a client crowd, in an order that mixes.
pub(super) const TURNS: [Kind; 20] = [
    Kind::Json,
    Kind::Repeated,
    Kind::Stream,
    Kind::Limited,
    Kind::ChatJson,
    Kind::Repeated,
    Kind::ChatStream,
    Kind::Together,
    Kind::Repeated,
    Kind::Embedding,
    Kind::Leaving,
    Kind::Json,
    Kind::Limited,
    Kind::Seldom,
    Kind::Stream,
    Kind::Slow,
    Kind::Repeated,
    Kind::ChatStream,
    Kind::Bad,
    Kind::Session,
];
