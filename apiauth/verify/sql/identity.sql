SELECT keystead_identity()
