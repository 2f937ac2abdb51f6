"""Two-dimensional turbulence by a spectral method: FFTs, exact viscosity, dealiasing; and the spectrum of what comes.

python examples/porting/spectral.py
"""

from functools import partial

import numpy as np

import xlac
import xlac.numpy as jnp
from xlac import lax, random

N, VISCOSITY, DT = 64, 2e-3, 0.01


def wave_numbers():
    """kx, ky and |k|^2 of rfft2 coefficients, fixed when the program is traced."""
    kx = np.fft.fftfreq(N, 1 / N).astype(np.float32)[:, None]
    ky = np.fft.rfftfreq(N, 1 / N).astype(np.float32)[None, :]
    return kx, ky, kx**2 + ky**2


KX, KY, K2 = wave_numbers()
KEEP = (np.maximum(np.abs(KX), np.abs(KY)) < N / 3).astype(np.float32)
INVERSE = np.where(K2 > 0, 1.0 / np.where(K2 > 0, K2, 1.0), 0.0).astype(np.float32)


def initial(key):
    """Random vorticity in a ring of wave numbers, of unit root mean square."""
    noise = jnp.fft.rfft2(random.normal(key, (N, N)))
    ring = jnp.exp(-((jnp.sqrt(K2) - 6.0) ** 2) / 4.0)
    vorticity = jnp.fft.irfft2(noise * ring)
    return jnp.fft.rfft2(vorticity / jnp.sqrt(jnp.mean(vorticity**2)))


def advection(w):
    """-(u . grad) w in spectral space, cut off above two thirds of the wave numbers."""
    stream = w * INVERSE
    fields = jnp.stack([1j * KY * stream, -1j * KX * stream, 1j * KX * w, 1j * KY * w])
    u, v, wx, wy = jnp.fft.irfft2(fields)
    return -KEEP * jnp.fft.rfft2(u * wx + v * wy)


def step(w):
    """Heun's method with the viscous part integrated exactly."""
    decay = jnp.exp(-VISCOSITY * K2 * DT)
    first = advection(w)
    middle = decay * (w + DT * first)
    return decay * (w + 0.5 * DT * first) + 0.5 * DT * advection(middle)


def energy(w):
    weight = jnp.where((KY == 0) | (KY == N // 2), 1.0, 2.0)
    return 0.5 * jnp.sum(weight * jnp.abs(w) ** 2 * INVERSE) / N**4


@partial(xlac.jit, static_argnums=1)
def run(w, steps):
    def body(w, _):
        w = step(w)
        return w, energy(w)

    return lax.scan(body, w, None, length=steps)


@xlac.jit
def spectrum(w):
    """Energy by shells of wave numbers."""
    shell = jnp.round(jnp.sqrt(K2)).astype(jnp.int32)
    return xlac.ops.segment_sum((jnp.abs(w) ** 2 * INVERSE).ravel() / N**4, shell.ravel(), num_segments=N // 2)


def main():
    start = initial(random.PRNGKey(16))
    w, energies = run(start, 200)
    vorticity = jnp.fft.irfft2(w)
    spectra = spectrum(start), spectrum(w)
    peaks = [int(jnp.argmax(s)) for s in spectra]
    print(f"energy {energy(start):.5f} -> {energies[-1]:.5f}; the spectrum's peak moves from {peaks[0]} to {peaks[1]}")
    return {
        "energies": energies[::50],
        "enstrophy": jnp.mean(vorticity**2),
        "spectrum": spectra[1][1:9],
        "peaks": jnp.array(peaks),
    }


if __name__ == "__main__":
    main()
