"""Snow and haze by the atmospheric scattering model, with every layer, for any clip."""
