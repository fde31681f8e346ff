//! The configuration and the train request, validated: what `plan` reads.
//!
//! `raw` is the shape of the files, `resolve` and `train` check what they say, `expand` turns templates into jobs. All of
//! it is pure but `load`.

mod advisory;
pub mod expand;
mod load;
mod raw;
mod reserved;
mod resolve;
mod sections;
mod sensitive;
mod settings;
mod specs;
mod train;
mod unused;

pub use load::{load, load_stores, load_train};
pub use reserved::reserved;
pub use resolve::parse;
pub use sections::{ConfigSection, File, sections};
pub use sensitive::{SENSITIVE, is_sensitive};
pub use settings::{
    ArtifactTemplate, AssembleConfig, AssembleFrom, BundleConfig, Config, DraftAudience, ForgeConfig, InputAddress,
    InputConfig, Presence, Project, PushMode, RemoteConfig, RunnerConfig, SeriesSource, SigningConfig, StoreConfig,
    StoreRole, TargetConfig, TemplateSet, TrainLine, TrainRequest,
};
pub use specs::TableFacts;
pub use train::parse_train;
pub use unused::{Unused, refuse};

#[cfg(test)]
mod tests;
