"""The networks: each file holds a plain ``nn.Module`` and the small LightningModule that trains it."""
