//! The configuration and the train request, validated: what `plan` reads.

mod settings;

pub use settings::{
    AssembleConfig, BundleConfig, Config, ForgeConfig, KeySource, Project, RemoteConfig, RunnerConfig, SeriesSource,
    SigningConfig, StoreConfig, TargetConfig, TemplateSet, TrainLine, TrainRequest,
};
