// SPDX-License-Identifier: GPL-2.0

//! Commands of `xen_version` with a structure of one size.

use crate::version::{self as args, op};

commands! {
    XEN_VERSION;
    /// Asks how the hypervisor was built.
    CompileInfo = COMPILE_INFO(args::CompileInfo) InOut;
    /// Asks for 32 of the features.
    GetFeatures = GET_FEATURES(args::FeatureInfo) InOut;
}

plain_commands! {
    CompileInfo,
    GetFeatures,
}
