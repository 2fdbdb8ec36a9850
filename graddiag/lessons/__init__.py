"""The computations behind the Learn pages: small networks and gradients, worked out exactly from a few settings.

Each lesson is a file of pure functions; what they give is a frozen value of ``graddiag.lessons.values``, which needs
no torch. All numbers are float64 but where a lesson is about float32. Every seed is fixed, so equal settings give
equal numbers.
"""
