"""What would break an estimate: bounds, leave-one-out, specification curves, calibration, misreporting."""
