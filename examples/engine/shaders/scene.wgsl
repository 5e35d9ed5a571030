// The instanced meshes: the shadow pass and the lit main pass.

struct Vertex {
    @location(0) position: vec3f,
    @location(1) normal: vec3f,
    @location(2) uv: vec2f,
}

struct Instance {
    @location(3) position: vec3f,
    @location(4) scale: vec3f,
    @location(5) rotation: vec4f,
    @location(6) color: vec3f,
    // texture layer, roughness, metalness, emission
    @location(7) surface: vec4f,
}

struct Varyings {
    @builtin(position) clip: vec4f,
    @location(0) world: vec3f,
    @location(1) normal: vec3f,
    @location(2) uv: vec2f,
    @location(3) @interpolate(flat) color: vec3f,
    @location(4) @interpolate(flat) surface: vec4f,
    @location(5) sun: vec3f,
    // what the orbs shed here
    @location(6) glow: vec3f,
    // what the air adds, and how much of the surface is left
    @location(7) haze: vec4f,
}

@group(0) @binding(1) var shadow_map: texture_depth_2d;
@group(0) @binding(2) var shadow_sampler: sampler_comparison;
@group(0) @binding(3) var albedo: texture_2d_array<f32>;
@group(0) @binding(4) var albedo_sampler: sampler;

fn rotate(q: vec4f, v: vec3f) -> vec3f {
    let t = 2.0 * cross(q.xyz, v);
    return v + q.w * t + cross(q.xyz, t);
}

fn to_world(vertex: Vertex, instance: Instance) -> vec3f {
    return rotate(instance.rotation, vertex.position * instance.scale) + instance.position;
}

@vertex
fn vs_shadow(vertex: Vertex, instance: Instance) -> @builtin(position) vec4f {
    return globals.sun_view_projection * vec4f(to_world(vertex, instance), 1.0);
}

@vertex
fn vs_main(vertex: Vertex, instance: Instance) -> Varyings {
    var out: Varyings;
    out.world = to_world(vertex, instance);
    out.clip = globals.view_projection * vec4f(out.world, 1.0);
    out.normal = rotate(instance.rotation, vertex.normal / instance.scale);
    // Walls keep their texel density when a pillar is stretched.
    out.uv = vec2f(vertex.uv.x, vertex.uv.y * instance.scale.y);
    out.color = instance.color;
    out.surface = instance.surface;
    let sun = globals.sun_view_projection * vec4f(out.world, 1.0);
    out.sun = vec3f(sun.xy * vec2f(0.5, -0.5) + 0.5, sun.z);
    out.glow = light_of_orbs(out.world, normalize(out.normal));
    out.haze = air(out.world);
    return out;
}

// Soft and local, so it is taken at the vertices.
fn light_of_orbs(world: vec3f, normal: vec3f) -> vec3f {
    var sum = vec3f(0.0);
    for (var i = 0u; i < 6u; i++) {
        let offset = globals.lights[i].position.xyz - world;
        let squared = dot(offset, offset);
        let radius = globals.lights[i].position.w;
        let window = max(1.0 - squared / (radius * radius), 0.0);
        let incidence = max(dot(normal, offset), 0.0) * inverseSqrt(squared + 0.01);
        sum += globals.lights[i].color.rgb * (incidence * window * window / (squared * 0.35 + 0.4));
    }
    return sum;
}

// Haze: some of the colour of the sky behind, more of it with the distance.
fn air(world: vec3f) -> vec4f {
    let ray = world - globals.eye.xyz;
    let distance = length(ray);
    let left = exp(-max(distance - 36.0, 0.0) * 0.012);
    let behind = sky(vec3f(ray.x, max(ray.y, 0.0) + 0.05 * distance, ray.z) / distance);
    return vec4f(behind * vec3f(0.24, 0.30, 0.55) * (1.0 - left), left);
}

fn lit_by_sun(coordinate: vec3f) -> f32 {
    let inside = all(coordinate.xy > vec2f(0.0)) && all(coordinate.xy < vec2f(1.0));
    return select(1.0, textureSampleCompareLevel(shadow_map, shadow_sampler, coordinate.xy, coordinate.z), inside);
}

@fragment
fn fs_main(in: Varyings) -> @location(0) vec4f {
    let texel = textureSample(albedo, albedo_sampler, in.uv, u32(in.surface.x));
    let base = in.color * texel.rgb;
    let roughness = clamp(in.surface.y * (0.6 + 0.8 * texel.a), 0.1, 1.0);
    let metalness = in.surface.z;
    let diffuse = base * (1.0 - metalness);
    let specular = mix(vec3f(0.04), base, metalness);

    let normal = normalize(in.normal);
    let view = normalize(globals.eye.xyz - in.world);
    let sun = globals.sun_direction.xyz;

    // The sun: Lambert and a normalised Blinn-Phong lobe. Around it: the sky above, a warm bounce from below.
    let power = 2.0 / (roughness * roughness * roughness);
    let lobe = pow(max(dot(normal, normalize(sun + view)), 0.0), power) * (power + 8.0) * 0.04;
    let visible = lit_by_sun(in.sun) * max(dot(normal, sun), 0.0);
    let ambient = mix(vec3f(0.11, 0.05, 0.07), vec3f(0.11, 0.13, 0.30), normal.y * 0.5 + 0.5);
    var color = diffuse * (ambient + in.glow) + globals.sun_color.rgb * visible * (diffuse + specular * lobe);

    // What mirrors in it, more at grazing angles.
    let grazing = 1.0 - max(dot(normal, view), 0.0);
    let squared = grazing * grazing;
    let fresnel = specular + (1.0 - specular) * (squared * squared * grazing);
    let smoothness = 1.0 - roughness;
    color += mirrored(reflect(-view, normal)) * fresnel * (smoothness * smoothness);

    color += in.color * in.surface.w;
    return vec4f(color * in.haze.w + in.haze.rgb, 1.0);
}

// The sky in few steps, and dark ground below it.
fn mirrored(direction: vec3f) -> vec3f {
    let high = mix(vec3f(1.25, 0.55, 0.30), vec3f(0.05, 0.07, 0.22), clamp(direction.y * 1.6, 0.0, 1.0));
    return mix(high, vec3f(0.03, 0.09, 0.12), clamp(-direction.y * 6.0, 0.0, 1.0));
}
