// What every shader of the scene shares: the per-frame constants and the sky.

struct Light {
    // xyz: world position, w: radius of influence
    position: vec4f,
    color: vec4f,
}

struct Globals {
    view_projection: mat4x4f,
    inverse_view_projection: mat4x4f,
    sun_view_projection: mat4x4f,
    eye: vec4f,
    sun_direction: vec4f,
    sun_color: vec4f,
    lights: array<Light, 6>,
}

@group(0) @binding(0) var<uniform> globals: Globals;

fn sky(direction: vec3f) -> vec3f {
    let height = clamp(direction.y, 0.0, 1.0);
    let horizon = vec3f(0.92, 0.46, 0.30);
    let middle = vec3f(0.28, 0.20, 0.44);
    let zenith = vec3f(0.03, 0.05, 0.16);
    var color = mix(horizon, middle, smoothstep(0.0, 0.22, height));
    color = mix(color, zenith, smoothstep(0.12, 0.75, height));
    let toward_sun = max(dot(direction, globals.sun_direction.xyz), 0.0);
    let squared = toward_sun * toward_sun;
    let fourth = squared * squared;
    color += globals.sun_color.rgb * (0.10 * fourth + 0.25 * fourth * fourth * fourth * fourth);
    // Below the horizon: the dark water that the fog fades into.
    return mix(color, vec3f(0.12, 0.08, 0.14), smoothstep(0.0, -0.35, direction.y));
}
