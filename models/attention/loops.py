"""The CPU loops of `kernels.py`, compiled by numba on first use.

Leading dims are flattened to one; the innermost loop runs over contiguous memory. `nogil` lets
threads share the work; fastmath stays off, so that infinities behave.
"""

import numba


@numba.njit(nogil=True, cache=True)
def l1_forward(q, kt, out):  # q [B,M,K], kt [B,K,N], out [B,M,N]
    for b in range(q.shape[0]):
        for i in range(q.shape[1]):
            row = out[b, i]
            row[:] = 0
            for c in range(q.shape[2]):
                x, column = q[b, i, c], kt[b, c]
                for j in range(row.shape[0]):
                    row[j] += abs(x - column[j])


@numba.njit(nogil=True, cache=True)
def l1_backward(grad, q, k, dq, dk):  # grad [B,M,N], q and dq [B,M,K], k and dk [B,N,K]
    dk[:] = 0
    for b in range(q.shape[0]):
        for i in range(q.shape[1]):
            x, dx = q[b, i], dq[b, i]
            dx[:] = 0
            for j in range(k.shape[1]):
                g, y, dy = grad[b, i, j], k[b, j], dk[b, j]
                for c in range(x.shape[0]):
                    s = g if x[c] > y[c] else (-g if x[c] < y[c] else g * 0)
                    dx[c] += s
                    dy[c] -= s


@numba.njit(nogil=True, cache=True)
def relu_sum_forward(v, z, out):  # v [B,N,D], z [B,M,N], out [B,M,D]
    for b in range(v.shape[0]):
        for i in range(z.shape[1]):
            row = out[b, i]
            row[:] = 0
            for j in range(v.shape[1]):
                t, value = z[b, i, j], v[b, j]
                for c in range(row.shape[0]):
                    row[c] += max(value[c] - t, 0)


@numba.njit(nogil=True, cache=True)
def relu_sum_backward(grad, v, z, dv, dz):  # grad [B,M,D]
    dv[:] = 0
    for b in range(v.shape[0]):
        for i in range(z.shape[1]):
            g = grad[b, i]
            for j in range(v.shape[1]):
                t, value, d = z[b, i, j], v[b, j], dv[b, j]
                total = g[0] * 0
                for c in range(g.shape[0]):
                    s = g[c] if value[c] > t else g[c] * 0
                    d[c] += s
                    total -= s
                dz[b, i, j] = total


@numba.njit(nogil=True, cache=True)
def soft_forward(v, z, out):  # v [B,N,D], z [B,M,N], out [B,M,D]
    for b in range(v.shape[0]):
        for i in range(z.shape[1]):
            row = out[b, i]
            row[:] = 0
            for j in range(v.shape[1]):
                t, value = z[b, i, j], v[b, j]
                for c in range(row.shape[0]):
                    row[c] += value[c] - min(max(value[c], -t), t)


@numba.njit(nogil=True, cache=True)
def soft_backward(grad, v, z, dv, dz):
    dv[:] = 0
    for b in range(v.shape[0]):
        for i in range(z.shape[1]):
            g = grad[b, i]
            for j in range(v.shape[1]):
                t, value, d = z[b, i, j], v[b, j], dv[b, j]
                total = g[0] * 0
                for c in range(g.shape[0]):
                    s = g[c] if abs(value[c]) > t else g[c] * 0
                    d[c] += s
                    total -= s if value[c] > 0 else -s
                dz[b, i, j] = total
