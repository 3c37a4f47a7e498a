//! The service's own names as values of labels.

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

use crate::generate::{ModelId, ProviderId};

impl EncodeLabelValue for ProviderId {
    /// As OpenTelemetry names who is well known (`gen_ai.provider.name`).
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.well_known_name(), encoder)
    }
}

impl EncodeLabelValue for ModelId {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}
