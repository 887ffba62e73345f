"""Networks: encoders, transfers, decoders, and the critic of the adversarial term."""
