//! (manifests)
