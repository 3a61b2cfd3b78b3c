"""The networks: each file holds a plain ``nn.Module`` and the thin LightningModule that trains it."""
